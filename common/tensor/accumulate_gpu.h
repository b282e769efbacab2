// Exact accumulation on a GPU: int64 sums of gradients, several at once, with the bits of
// FixedPointPasses (common/tensor/fixed_point.h). Functions put kernels into a stream and return;
// arguments are device memory that stays until the stream has passed. Any thread.
//
// Errors: kInvalidArgument for more inputs than fit; kInternal when the runtime refuses a launch;
// kUnimplemented in a build without CUDA.

#ifndef DROVER_COMMON_TENSOR_ACCUMULATE_GPU_H_
#define DROVER_COMMON_TENSOR_ACCUMULATE_GPU_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

enum class GradientEncoding : uint32_t { kF32, kBf16, kI64 };

// `count` elements of one frame, at a multiple of 16 bytes.
struct AccumulateInput {
  const void* data;
  GradientEncoding encoding;
  float limit;        // kF32, kBf16: in range when finite and below it in magnitude (LeafLimit).
  int64_t limit_i64;  // kI64: in range when below it in magnitude (FixedPointLimit).
};

inline constexpr size_t kAccumulateInputsMax = 8;
// What `bad` says of an input that is in range.
inline constexpr uint32_t kNoBadElement = UINT32_MAX;

// bad[i] = index of the first element of input i that is not finite or out of range, else
// kNoBadElement. Then sums += q of every input without a bad element; with `store`, sums = instead,
// and nothing when all are bad. Inputs with a bad element change nothing. `scale` is 2^F; sums:
// [count] at a multiple of 16 bytes; bad: [inputs.size()]; 1 to kAccumulateInputsMax inputs, count
// below 2^31.
Status AccumulateOnGpu(std::span<const AccumulateInput> inputs, uint32_t count, bool store,
                       double scale, int64_t* sums, uint32_t* bad, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_ACCUMULATE_GPU_H_
