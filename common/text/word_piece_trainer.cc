#include "common/text/word_piece_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "common/text/pre_tokenizer.h"
#include "common/text/word_piece.h"

namespace drover {
namespace {

using Pair = std::pair<int32_t, int32_t>;  // Ids of neighbouring pieces.

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const uint64_t both =
        (uint64_t{static_cast<uint32_t>(pair.first)} << 32) | static_cast<uint32_t>(pair.second);
    return static_cast<size_t>((both ^ (both >> 29)) * 0x9E3779B97F4A7C15u);
  }
};

struct Word {
  std::vector<int32_t> pieces;
  int64_t count = 0;
};

struct Candidate {
  int64_t count = 0;
  Pair pair;
  // Less: to be joined later.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// The words as pieces, and where each pair of neighbours occurs, while pairs are joined.
class Merger {
 public:
  explicit Merger(std::vector<Word> words) : words_(std::move(words)) {
    std::vector<Pair> all;
    for (size_t w = 0; w < words_.size(); ++w) Count(w, +1, &all);
    for (const auto& [pair, count] : counts_) queue_.push({count, pair});
  }

  // The pair to be joined next, or none.
  bool Next(Pair* pair) {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto now = counts_.find(best.pair);
      if (now == counts_.end() || now->second != best.count) continue;  // Was entered anew.
      if (best.count < kPairCountMin) return false;
      *pair = best.pair;
      return true;
    }
    return false;
  }

  void Join(const Pair& pair, int32_t joined) {
    std::vector<Pair> changed;
    const auto found = places_.find(pair);
    std::vector<size_t> places = std::move(found->second);
    places_.erase(found);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (const size_t w : places) {
      std::vector<int32_t>& pieces = words_[w].pieces;
      Count(w, -1, &changed);
      size_t to = 0;
      for (size_t from = 0; from < pieces.size(); ++to) {
        const bool is_pair = from + 1 < pieces.size() && pieces[from] == pair.first &&
                             pieces[from + 1] == pair.second;
        pieces[to] = is_pair ? joined : pieces[from];
        from += is_pair ? 2 : 1;
      }
      pieces.resize(to);
      Count(w, +1, &changed);
    }
    std::sort(changed.begin(), changed.end());
    changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
    for (const Pair& other : changed) {
      const auto now = counts_.find(other);
      if (now->second > 0) {
        queue_.push({now->second, other});
      } else {
        counts_.erase(now);
      }
    }
  }

 private:
  // Adds the pairs of a word to the counts, or takes them out.
  void Count(size_t w, int64_t sign, std::vector<Pair>* changed) {
    const Word& word = words_[w];
    for (size_t i = 0; i + 1 < word.pieces.size(); ++i) {
      const Pair pair = {word.pieces[i], word.pieces[i + 1]};
      counts_[pair] += sign * word.count;
      if (sign > 0) places_[pair].push_back(w);
      changed->push_back(pair);
    }
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, int64_t, PairHash> counts_;
  std::unordered_map<Pair, std::vector<size_t>, PairHash> places_;  // Words; some no longer.
  std::priority_queue<Candidate> queue_;
};

// Characters of all words with their counts; the rarest go when there are too many.
std::set<std::string> Alphabet(const std::map<std::string, int64_t>& words) {
  std::map<std::string, int64_t> counts;
  for (const auto& [word, count] : words) {
    const std::vector<size_t> starts = CharacterStarts(word);
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      counts[word.substr(starts[i], starts[i + 1] - starts[i])] += count;
    }
  }
  std::vector<std::pair<int64_t, std::string>> by_count;
  for (const auto& [character, count] : counts) by_count.emplace_back(-count, character);
  std::sort(by_count.begin(), by_count.end());
  if (by_count.size() > kAlphabetSizeMax) by_count.resize(kAlphabetSizeMax);
  std::set<std::string> alphabet;
  for (auto& [count, character] : by_count) alphabet.insert(std::move(character));
  return alphabet;
}

// Numbers tokens in the order in which they are met.
class TokenList {
 public:
  int32_t IdOf(const std::string& token) {
    const auto [known, is_new] = ids_.emplace(token, static_cast<int32_t>(tokens_.size()));
    if (is_new) tokens_.push_back(token);
    return known->second;
  }
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }
  size_t size() const { return tokens_.size(); }
  std::vector<std::string> Take() { return std::move(tokens_); }

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
};

// The words in pieces of one character. Those with a character outside the alphabet are left out.
std::vector<Word> SinglePieces(const std::map<std::string, int64_t>& words,
                               const std::set<std::string>& alphabet, TokenList* tokens) {
  std::vector<std::pair<std::vector<std::string>, int64_t>> spelt;
  std::set<std::string> following;
  for (const auto& [word, count] : words) {
    const std::vector<size_t> starts = CharacterStarts(word);
    std::vector<std::string> pieces;
    bool known = true;
    for (size_t i = 0; known && i + 1 < starts.size(); ++i) {
      const std::string character = word.substr(starts[i], starts[i + 1] - starts[i]);
      known = alphabet.contains(character);
      pieces.push_back(i == 0 ? character : std::string(kContinuation) + character);
    }
    if (!known) continue;
    following.insert(pieces.begin() + 1, pieces.end());
    spelt.emplace_back(std::move(pieces), count);
  }
  // Every character may begin a word, so that a word which was never seen is not [UNK] for it.
  for (const std::string& character : alphabet) tokens->IdOf(character);
  for (const std::string& character : following) tokens->IdOf(character);
  std::vector<Word> singles;
  for (const auto& [pieces, count] : spelt) {
    Word word;
    word.count = count;
    for (const std::string& piece : pieces) word.pieces.push_back(tokens->IdOf(piece));
    singles.push_back(std::move(word));
  }
  return singles;
}

}  // namespace

Status WordPieceTrainer::AddLine(std::string_view line, bool lowercase) {
  Result<std::vector<std::string>> words = SplitWords(line, lowercase);
  if (!words.ok()) return words.status();
  for (std::string& word : words.value()) {
    if (CharacterStarts(word).size() - 1 <= kWordCharactersMax) ++counts_[std::move(word)];
  }
  return Status();
}

Result<Vocabulary> WordPieceTrainer::Train(size_t size) const {
  if (counts_.empty()) {
    return Status(Code::kInvalidArgument, "there is no word in the text to make a vocabulary of");
  }
  const std::map<std::string, int64_t> words(counts_.begin(), counts_.end());  // In order.
  TokenList tokens;
  for (const std::string_view name : kSpecialNames) tokens.IdOf(std::string(name));
  Merger merger(SinglePieces(words, Alphabet(words), &tokens));
  if (size < tokens.size() || size > kVocabularySizeMax) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("a vocabulary of {} tokens was asked for, expected {} (special tokens "
                    "and the characters of the text) to {}",
                    size, tokens.size(), kVocabularySizeMax));
  }
  Pair pair;
  while (tokens.size() < size && merger.Next(&pair)) {
    const std::string tail = tokens.token(pair.second).substr(kContinuation.size());
    const std::string joined = tokens.token(pair.first) + tail;
    merger.Join(pair, tokens.IdOf(joined));
  }
  return Vocabulary::FromTokens(tokens.Take());
}

}  // namespace drover
