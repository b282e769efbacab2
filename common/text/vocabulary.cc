#include "common/text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/hash.h"
#include "common/base/quote.h"

namespace drover {
namespace {

Status Invalid(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

}  // namespace

Result<Vocabulary> Vocabulary::FromTokens(std::vector<std::string> tokens) {
  if (tokens.size() > kVocabularySizeMax) {
    return Invalid(fmt::format("vocabulary: {} tokens, expected at most {}", tokens.size(),
                               kVocabularySizeMax));
  }
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    if (token.empty() || token.size() > kTokenBytesMax) {
      return Invalid(fmt::format("vocabulary, line {}: a token of {} bytes, expected 1 to {}",
                                 id + 1, token.size(), kTokenBytesMax));
    }
    const auto [known, is_new] = vocabulary.ids_.emplace(token, static_cast<int32_t>(id));
    if (!is_new) {
      return Invalid(fmt::format("vocabulary, line {}: {} stands in line {} too", id + 1,
                                 Quote(token), known->second + 1));
    }
  }
  const std::array<int32_t*, 5> ids = {&vocabulary.specials_.pad, &vocabulary.specials_.unk,
                                       &vocabulary.specials_.cls, &vocabulary.specials_.sep,
                                       &vocabulary.specials_.mask};
  for (size_t i = 0; i < ids.size(); ++i) {
    *ids[i] = vocabulary.Find(kSpecialNames[i]);
    if (*ids[i] < 0) {
      return Invalid(fmt::format("vocabulary: no {}, expected the lines {}", kSpecialNames[i],
                                 fmt::join(kSpecialNames, " ")));
    }
  }
  if (tokens.size() == kSpecialNames.size()) {
    return Invalid("vocabulary: nothing but special tokens, expected pieces of words too");
  }
  vocabulary.tokens_ = std::move(tokens);
  return vocabulary;
}

Result<Vocabulary> Vocabulary::FromText(std::string_view text) {
  std::vector<std::string> tokens;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view token = text.substr(0, end);
    if (token.ends_with('\r')) token.remove_suffix(1);
    if (tokens.size() > kVocabularySizeMax) break;  // FromTokens refuses it.
    tokens.emplace_back(token);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return FromTokens(std::move(tokens));
}

std::string Vocabulary::ToText() const {
  std::string text;
  for (const std::string& token : tokens_) {
    text += token;
    text += '\n';
  }
  return text;
}

std::string Vocabulary::Hash() const {
  const std::string text = ToText();
  Hash128 hash;
  hash.Update(text.data(), text.size());
  return hash.HexDigest();
}

int32_t Vocabulary::Find(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

}  // namespace drover
