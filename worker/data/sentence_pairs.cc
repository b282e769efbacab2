#include "worker/data/sentence_pairs.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "worker/data/uniform.h"

namespace drover {
namespace {

constexpr uint32_t kSpecialTokens = 3;  // [CLS] A [SEP] B [SEP]

// Which run of a list of starts (see TokenText) holds `position`.
uint64_t RunOf(std::span<const uint64_t> starts, uint64_t position) {
  const auto next = std::upper_bound(starts.begin(), starts.end(), position);
  return static_cast<uint64_t>(next - starts.begin()) - 1;
}

}  // namespace

Result<SentencePairs> SentencePairs::Make(const TokenText* text, int32_t sequence_length) {
  DROVER_CHECK(sequence_length >= kSequenceLengthMin && sequence_length <= kSequenceLengthMax);
  if (text->documents() < 2) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("{} document, expected at least 2, so that half of the samples can go "
                    "on with another one; a blank line separates documents",
                    text->documents()));
  }
  SentencePairs pairs(text, static_cast<uint32_t>(sequence_length) - kSpecialTokens);
  for (uint64_t d = 0; d < text->documents(); ++d) pairs.CutDocument(d);
  if (pairs.size() > 0) return pairs;
  return Status(Code::kInvalidArgument, "no document has two tokens, expected sentences");
}

void SentencePairs::CutDocument(uint64_t document) {
  const std::span<const uint64_t> starts = text_->sentence_starts();
  const uint64_t end = text_->document_starts()[document + 1];  // Sentence after the last.
  uint64_t begin = starts[text_->document_starts()[document]];
  uint64_t reached = begin;  // End of the passage so far.
  const auto cut = [&](uint64_t at) {
    if (at - begin >= 2) passages_.push_back({begin, static_cast<uint32_t>(at - begin)});
    begin = at;
  };
  for (uint64_t s = text_->document_starts()[document]; s < end; ++s) {
    if (starts[s + 1] - begin > tokens_max_) cut(reached);
    while (starts[s + 1] - begin > tokens_max_) cut(begin + tokens_max_);
    reached = starts[s + 1];
  }
  cut(reached);
}

// How many tokens of the passage are A: up to a start of a sentence within, any with the same
// probability.
uint32_t SentencePairs::PickSplit(const Passage& passage, uint32_t word) const {
  const std::span<const uint64_t> starts = text_->sentence_starts();
  const uint64_t first = RunOf(starts, passage.begin) + 1;
  const uint64_t last = RunOf(starts, passage.begin + passage.size - 1);
  if (first > last) return passage.size / 2;
  const uint64_t sentence = first + UniformBelow(word, static_cast<uint32_t>(last - first + 1));
  return static_cast<uint32_t>(starts[sentence] - passage.begin);
}

SentencePair SentencePairs::Pick(uint64_t index, const std::array<uint32_t, 4>& words) const {
  DROVER_CHECK(index < size());
  const Passage& passage = passages_[index];
  SentencePair pair;
  pair.a_begin = passage.begin;
  pair.a_size = PickSplit(passage, words[0]);
  pair.random_next = (words[1] >> 31) != 0;
  if (!pair.random_next) {
    pair.b_begin = passage.begin + pair.a_size;
    pair.b_size = passage.size - pair.a_size;
    return pair;
  }
  const std::span<const uint64_t> sentences = text_->sentence_starts();
  const std::span<const uint64_t> documents = text_->document_starts();
  const uint64_t own = RunOf(documents, RunOf(sentences, passage.begin));
  const uint64_t own_sentences = documents[own + 1] - documents[own];
  // A remainder of 64 bits: no sentence is likelier than another by more than 2^-30.
  const uint64_t random = (uint64_t{words[2]} << 32) | words[3];
  uint64_t sentence = random % (text_->sentences() - own_sentences);
  if (sentence >= documents[own]) sentence += own_sentences;
  pair.b_begin = sentences[sentence];
  const uint64_t document_end = sentences[documents[RunOf(documents, sentence) + 1]];
  pair.b_size = static_cast<uint32_t>(
      std::min<uint64_t>(document_end - pair.b_begin, tokens_max_ - pair.a_size));
  return pair;
}

}  // namespace drover
