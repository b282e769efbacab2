// Counter-based random numbers: the value at (seed, stream, index) is a pure function, so that any
// process can compute any part of a sequence. Philox 4x32-10, Salmon et al., SC'11 (Random123).

#ifndef DROVER_COMMON_BASE_PHILOX_H_
#define DROVER_COMMON_BASE_PHILOX_H_

#include <Random123/philox.h>

#include <array>
#include <cstdint>

#include "common/base/host_device.h"

namespace drover {

// Four independent uniform 32-bit words. The counter is (index, stream), the key is the seed.
DROVER_HOST_DEVICE inline std::array<uint32_t, 4> Philox(uint64_t seed, uint64_t stream,
                                                         uint64_t index) {
  const r123::Philox4x32::ctr_type counter = {
      {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
       static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)}};
  const r123::Philox4x32::key_type key = {
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
  const r123::Philox4x32::ctr_type words = r123::Philox4x32()(counter, key);
  return {words[0], words[1], words[2], words[3]};
}

// Uniform in [0, 1), a multiple of 2^-24: exact in float32.
inline float UnitFloat(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace drover

#endif  // DROVER_COMMON_BASE_PHILOX_H_
