// Pairs with mean_squared_error_gpu.h. One block per row, neighbouring threads read neighbouring
// values. Bytes per output: the value, 4 of its target, the gradient.

#include <cmath>
#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/block_reduce.cuh"
#include "worker/nn/gpu_access.cuh"
#include "worker/nn/mean_squared_error_gpu.h"

namespace drover {
namespace {

constexpr int kThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    SquaredErrorRowsKernel(SquaredErrorRows rows, const T* all_outputs, T* all_gradients) {
  DROVER_SHARED_ARRAY(float, floats, kThreads / 32);
  DROVER_SHARED_ARRAY(int32_t, integers, kThreads / 32);
  DROVER_SHARED_ARRAY(double, doubles, kThreads / 32);
  const int64_t r = blockIdx.x;
  const bool is_real = r < rows.samples;
  const T* const output = all_outputs + r * rows.outputs;
  T* const gradient = all_gradients == nullptr ? nullptr : all_gradients + r * rows.outputs;
  const float* const targets = rows.targets == nullptr ? nullptr : rows.targets + r * rows.outputs;
  const int32_t label = targets == nullptr && is_real ? rows.labels[r] : -1;
  const float scale = 2.0f / static_cast<float>(rows.outputs);

  double sum = 0.0;
  float largest = -INFINITY;
  int32_t index = INT32_MAX;
  for (int64_t o = threadIdx.x; o < rows.outputs; o += kThreads) {
    float difference = 0.0f;
    if (is_real) {
      const float value = ValueAt(output, o);
      const float target = targets != nullptr ? targets[o] : o == label ? 1.0f : 0.0f;
      difference = value - target;
      if (value > largest) {
        largest = value;
        index = static_cast<int32_t>(o);
      }
    }
    sum += static_cast<double>(difference) * static_cast<double>(difference);
    if (gradient != nullptr) SetValue(gradient, o, scale * difference);
  }
  sum = SumOverBlock<kThreads>(sum, doubles);
  const int32_t answer = FirstLargestOfBlock<kThreads>(&largest, index, floats, integers);
  if (threadIdx.x == 0) {
    rows.losses[r] = {sum / static_cast<double>(rows.outputs), is_real ? 1 : 0,
                      label >= 0 && answer == label ? 1 : 0};
  }
}

}  // namespace

Status SquaredErrorRowsOnGpu(const SquaredErrorRows& rows, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  ForType(rows.output, [&](const auto* output) {
    using T = std::remove_cvref_t<decltype(*output)>;
    DROVER_LAUNCH(SquaredErrorRowsKernel<T>, static_cast<uint32_t>(rows.rows), kThreads, 0,
                  static_cast<cudaStream_t>(stream.handle()), rows, output,
                  static_cast<T*>(rows.gradient.data));
  });
  return LaunchStatus("SquaredErrorRows");
}

}  // namespace drover
