// One warp that does what warp_product.cuh offers, for its test: on the emulator, and on a GPU,
// where it shows that the emulator has the layouts of tensor cores. Enqueues; any thread.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_WARP_PRODUCT_PROBE_H_
#define DROVER_TESTS_UNIT_WORKER_NN_WARP_PRODUCT_PROBE_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

// c [16, 8] += a [16, 16] b [16, 8], all row-major; a and b are rounded to bfloat16.
Status MultiplyOnWarp(const float* a, const float* b, float* c, const GpuStream& stream);

// Row r of matrix i is row 2 (8 i + r) + 1 of `rows`, [64, 8] values of 16 bits. plain and
// transposed: [32, 4], what each lane gets.
Status LoadMatricesOnWarp(const uint16_t* rows, uint32_t* plain, uint32_t* transposed,
                          const GpuStream& stream);

// packed[i] = PackBf16(pairs[2 i], pairs[2 i + 1]) for i < 32.
Status PackOnWarp(const float* pairs, uint32_t* packed, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_WARP_PRODUCT_PROBE_H_
