#include "common/tensor/bf16.h"

namespace drover {

void RoundToBf16(const float* from, size_t count, uint16_t* to) {
  for (size_t i = 0; i < count; ++i) to[i] = ToBf16(from[i]);
}

void WidenBf16(const uint16_t* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = FromBf16(from[i]);
}

}  // namespace drover
