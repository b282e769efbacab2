// Random words to small numbers. Pure; thread-safe.

#ifndef DROVER_WORKER_DATA_UNIFORM_H_
#define DROVER_WORKER_DATA_UNIFORM_H_

#include <cstdint>

namespace drover {

// Uniform in [0, n), n > 0, but for n / 2^32 (Lemire, "Fast Random Integer Generation in an
// Interval", arXiv:1805.10941, without its rejection).
inline uint32_t UniformBelow(uint32_t word, uint32_t n) {
  return static_cast<uint32_t>((uint64_t{word} * n) >> 32);
}

}  // namespace drover

#endif  // DROVER_WORKER_DATA_UNIFORM_H_
