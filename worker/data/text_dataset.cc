#include "worker/data/text_dataset.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/philox.h"
#include "common/base/quote.h"
#include "common/text/token_file.h"

namespace drover {
namespace {

constexpr uint64_t kKeyStream = 0x74657874;  // "text": no other use of the seed shares a stream.

// Keys of text are apart from all that the job's seed draws elsewhere.
uint64_t KeyOf(Split split, uint64_t seed) {
  const std::array<uint32_t, 4> words =
      Philox(split == Split::kTrain ? seed : 0, kKeyStream, split == Split::kTrain ? 0 : 1);
  return (uint64_t{words[0]} << 32) | words[1];
}

SampleShape ShapeOf(const TokenText& text, int32_t sequence_length) {
  SampleShape shape;
  shape.extents = {sequence_length};
  shape.classes = 2;
  shape.vocabulary = text.info().vocabulary_size;
  shape.predictions = PredictionsMax(sequence_length);
  return shape;
}

uint64_t FingerprintOf(const TokenText& text, int32_t sequence_length) {
  Hash128 hash;
  const auto add = [&hash](std::span<const uint64_t> numbers) {
    hash.Update(numbers.data(), numbers.size_bytes());
  };
  add(std::array<uint64_t, 4>{static_cast<uint64_t>(sequence_length), text.documents(),
                              text.sentences(),
                              static_cast<uint64_t>(text.info().vocabulary_size)});
  hash.Update(text.info().vocabulary_hash.data(), text.info().vocabulary_hash.size());
  const std::array<int32_t, 5> specials = text.info().specials.Ids();
  hash.Update(specials.data(), sizeof(specials));
  add(text.document_starts());
  add(text.sentence_starts());
  std::array<int32_t, 4096> tokens{};
  for (uint64_t begin = 0; begin < text.tokens(); begin += tokens.size()) {
    const uint64_t count = std::min<uint64_t>(tokens.size(), text.tokens() - begin);
    text.CopyTokens(begin, count, tokens.data());
    hash.Update(tokens.data(), count * sizeof(int32_t));
  }
  const std::string digest = hash.HexDigest();
  return Hash64(digest.data(), digest.size());
}

}  // namespace

TextDataset::TextDataset(TokenText text, int32_t sequence_length, Split split, uint64_t seed)
    : text_(std::move(text)),
      sequence_length_(static_cast<size_t>(sequence_length)),
      split_(split),
      key_(KeyOf(split, seed)),
      masker_(text_.info().specials, text_.info().vocabulary_size),
      shape_(ShapeOf(text_, sequence_length)),
      fingerprint_(FingerprintOf(text_, sequence_length)) {}

Result<std::unique_ptr<TextDataset>> TextDataset::Make(TokenText text, int32_t sequence_length,
                                                       Split split, uint64_t seed) {
  std::unique_ptr<TextDataset> dataset(
      new TextDataset(std::move(text), sequence_length, split, seed));
  Result<SentencePairs> pairs = SentencePairs::Make(&dataset->text_, sequence_length);
  if (!pairs.ok()) return pairs.status();
  dataset->pairs_ = std::make_unique<const SentencePairs>(std::move(pairs).value());
  return dataset;
}

void TextDataset::Read(std::span<const SampleRef> samples, SampleBuffers* out) const {
  const size_t tokens = samples.size() * sequence_length_;
  const size_t predictions = samples.size() * static_cast<size_t>(shape_.predictions);
  out->tokens.resize(tokens);
  out->segments.resize(tokens);
  out->lengths.resize(samples.size());
  out->labels.resize(samples.size());
  out->masked_positions.resize(predictions);
  out->masked_labels.resize(predictions);
  for (size_t row = 0; row < samples.size(); ++row) ReadOne(samples[row], row, out);
}

void TextDataset::ReadOne(const SampleRef& sample, size_t row, SampleBuffers* out) const {
  const uint64_t position = split_ == Split::kTrain ? sample.position : sample.index;
  const SentencePair pair = pairs_->Pick(sample.index, Philox(key_, position, 0));
  const SpecialTokens& specials = text_.info().specials;

  const std::span<int32_t> tokens =
      std::span(out->tokens).subspan(row * sequence_length_, sequence_length_);
  tokens[0] = specials.cls;
  text_.CopyTokens(pair.a_begin, pair.a_size, &tokens[1]);
  const size_t b_begin = 2 + size_t{pair.a_size};
  tokens[b_begin - 1] = specials.sep;
  text_.CopyTokens(pair.b_begin, pair.b_size, &tokens[b_begin]);
  const size_t length = b_begin + pair.b_size + 1;
  tokens[length - 1] = specials.sep;
  std::fill(tokens.begin() + static_cast<ptrdiff_t>(length), tokens.end(), specials.pad);

  const std::span<int32_t> segments =
      std::span(out->segments).subspan(row * sequence_length_, sequence_length_);
  for (size_t i = 0; i < segments.size(); ++i) segments[i] = i >= b_begin && i < length ? 1 : 0;
  out->lengths[row] = static_cast<int32_t>(length);
  out->labels[row] = pair.random_next ? 1 : 0;

  const auto predictions = static_cast<size_t>(shape_.predictions);
  masker_.Mask({.key = key_, .position = position}, tokens.first(length),
               std::span(out->masked_positions).subspan(row * predictions, predictions),
               std::span(out->masked_labels).subspan(row * predictions, predictions));
}

Result<std::unique_ptr<TextDataset>> OpenTextDataset(FileSystem& fs, const std::string& directory,
                                                     int32_t sequence_length, Split split,
                                                     uint64_t seed) {
  const std::string path =
      directory + "/" + (split == Split::kTrain ? kTrainTokensName : kTestTokensName);
  Result<TokenText> text = ReadTokenFile(fs, path);
  if (!text.ok()) return text.status();
  Result<std::unique_ptr<TextDataset>> dataset =
      TextDataset::Make(std::move(text).value(), sequence_length, split, seed);
  if (!dataset.ok()) return dataset.status().Annotate(Quote(path));
  return dataset;
}

}  // namespace drover
