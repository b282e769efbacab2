#include "common/text/token_text.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace drover {

TokenText::TokenText(TokenTextInfo info) : info_(std::move(info)) {}

void TokenText::AddSentence(std::span<const int32_t> tokens) {
  if (tokens.empty()) return;
  const bool narrow = TokenBytes(info_.vocabulary_size) == 2;
  for (const int32_t id : tokens) {
    DROVER_CHECK(id >= 0 && id < info_.vocabulary_size);
    if (narrow) {
      narrow_.push_back(static_cast<uint16_t>(id));
    } else {
      wide_.push_back(static_cast<uint32_t>(id));
    }
  }
  sentence_starts_.push_back(sentence_starts_.back() + tokens.size());
}

void TokenText::EndDocument() {
  if (document_starts_.back() < sentences()) document_starts_.push_back(sentences());
}

void TokenText::CopyTokens(uint64_t begin, uint64_t count, int32_t* out) const {
  DROVER_CHECK(begin <= tokens() && count <= tokens() - begin);
  if (!narrow_.empty()) {
    std::copy_n(narrow_.data() + begin, count, out);
  } else {
    std::transform(wide_.data() + begin, wide_.data() + begin + count, out,
                   [](uint32_t id) { return static_cast<int32_t>(id); });
  }
}

}  // namespace drover
