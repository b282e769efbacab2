// What a GPU can compute at most, for utilisation: multiprocessors x clock x operations per cycle
// of its compute capability. The clock is the highest that the driver names; what a GPU holds under
// load is less, so that a utilisation of 1 is out of reach.
//
// Operations per cycle and multiprocessor, two per multiply-add, dense:
//   float32, by CUDA cores: CUDA C++ Programming Guide, "Throughput of native arithmetic
//     instructions"
//   TF32 and bfloat16, by tensor cores: the whitepapers of A100 (GA100) and H100 (GH100)
// Not known here are tensor cores of the capabilities 8.6, 8.9 and 12.x, at which some products
// have twice the rate of others, and those without a whitepaper; and what CPUs can do, whose clock
// depends on the instructions. Pure function.

#ifndef DROVER_WORKER_TRAIN_GPU_PEAK_FLOPS_H_
#define DROVER_WORKER_TRAIN_GPU_PEAK_FLOPS_H_

#include <optional>

#include "common/gpu/device.h"

namespace drover {

enum class GpuArithmetic { kF32, kTf32, kBf16 };  // Of the matrix products.

// Per second. Nothing when the rate or the clock is not known.
std::optional<double> GpuPeakFlops(const GpuInfo& gpu, GpuArithmetic arithmetic);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_GPU_PEAK_FLOPS_H_
