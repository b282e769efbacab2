// A text of random tokens for tests, the same for the same arguments.

#ifndef DROVER_TESTS_UNIT_WORKER_DATA_SAMPLE_TEXT_H_
#define DROVER_TESTS_UNIT_WORKER_DATA_SAMPLE_TEXT_H_

#include <cstdint>
#include <vector>

#include "common/base/philox.h"
#include "common/text/token_text.h"

namespace drover {

// Documents of 1 to 12 sentences of 1 to 20 tokens; one token in 50 is [UNK].
inline TokenText SampleText(uint64_t documents, int32_t vocabulary_size = 1000) {
  TokenTextInfo info;
  info.vocabulary_size = vocabulary_size;
  info.vocabulary_hash = "0123456789abcdef0123456789abcdef";
  TokenText text(info);
  uint64_t drawn = 0;
  const auto below = [&drawn](uint32_t n) { return Philox(1, 2, drawn++)[0] % n; };
  for (uint64_t d = 0; d < documents; ++d) {
    const uint32_t sentences = 1 + below(12);
    for (uint32_t s = 0; s < sentences; ++s) {
      std::vector<int32_t> tokens(1 + below(20));
      for (int32_t& token : tokens) {
        token = below(50) == 0
                    ? info.specials.unk
                    : 5 + static_cast<int32_t>(below(static_cast<uint32_t>(vocabulary_size) - 5));
      }
      text.AddSentence(tokens);
    }
    text.EndDocument();
  }
  return text;
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_DATA_SAMPLE_TEXT_H_
