// Pairs with softmax_rows_gpu.h. One block per row: a warp for a few classes, more for a
// vocabulary. Largest and sum come from one read, the sum scaled anew whenever a larger logit turns
// up; the second read finds the row in the L2 cache and the gradient is written over it. Bytes per
// logit: 4 from memory, 4 from the cache, 4 or 2 to memory.

#include <cmath>
#include <type_traits>

#include "common/base/exact_math.h"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/block_reduce.cuh"
#include "worker/nn/float_exp.h"
#include "worker/nn/gpu_access.cuh"
#include "worker/nn/softmax_rows_gpu.h"

namespace drover {
namespace {

constexpr int kNarrow = 32;
constexpr int kWide = 256;
constexpr int64_t kNarrowClassesMax = 512;

// Values `first` to `first` + kWidth - 1 of a row; those from `classes` on are not touched. A width
// of 4 needs rows that begin at multiples of 4 values.
template <int kWidth, typename T>
__device__ __forceinline__ void ReadLogits(const T* row, int64_t first, int64_t classes,
                                           float (&to)[kWidth]) {
  if constexpr (kWidth == 4) {
    ReadFour(row + first, static_cast<int>(min(classes - first, int64_t{4})), to);
  } else {
    to[0] = ValueAt(row, first);
  }
}

template <int kWidth, typename T>
__device__ __forceinline__ void WriteGradients(T* row, int64_t first, int64_t classes,
                                               const float (&from)[kWidth]) {
  if constexpr (kWidth == 4) {
    const int left = static_cast<int>(min(classes - first, int64_t{4}));
    if constexpr (std::is_same_v<T, float>) {
      WriteFour(row + first, left, from);
    } else {
      uint16_t rounded[4];
      DROVER_UNROLL
      for (int k = 0; k < 4; ++k) rounded[k] = ToBf16(from[k]);
      WriteFourStreaming(row + first, left, rounded);
    }
  } else {
    SetValue(row, first, from[0]);
  }
}

// One thread's part of a row: its largest logit, the first of those, and the sum of exp(logit -
// largest).
struct Part {
  float largest = -INFINITY;
  int32_t index = INT32_MAX;
  double sum = 0.0;

  __device__ __forceinline__ void Add(float logit, int64_t j) {
    if (logit > largest) {
      sum = sum * ExpOfNonPositive(largest - logit) + 1.0;
      largest = logit;
      index = static_cast<int32_t>(j);
    } else {
      sum += ExpOfNonPositive(logit - largest);
    }
  }
};

template <typename Logit, typename Gradient, int kThreads, int kWidth>
__global__ void __launch_bounds__(kThreads)
    SoftmaxRowsKernel(SoftmaxRows rows, const Logit* all_logits, Gradient* all_gradients) {
  DROVER_SHARED_ARRAY(float, floats, kThreads / 32);
  DROVER_SHARED_ARRAY(int32_t, integers, kThreads / 32);
  DROVER_SHARED_ARRAY(double, doubles, kThreads / 32);
  constexpr int64_t kStep = int64_t{kThreads} * kWidth;
  const int64_t r = blockIdx.x;
  const int64_t first = int64_t{threadIdx.x} * kWidth;
  const Logit* const logits = all_logits + r * rows.stride;
  Gradient* const gradients = all_gradients == nullptr ? nullptr : all_gradients + r * rows.stride;
  const int32_t label = r < rows.real_rows ? rows.labels[r] : -1;
  if (label < 0) {
    if (threadIdx.x == 0) rows.losses[r] = {0.0, 0, 0};
    if (gradients == nullptr) return;
    const float zeros[kWidth] = {};
    for (int64_t j = first; j < rows.classes; j += kStep) {
      WriteGradients<kWidth>(gradients, j, rows.classes, zeros);
    }
    return;
  }

  Part part;
  for (int64_t j = first; j < rows.classes; j += kStep) {
    float values[kWidth];
    ReadLogits<kWidth>(logits, j, rows.classes, values);
    DROVER_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      if (j + k < rows.classes) part.Add(values[k], j + k);
    }
  }
  float largest = part.largest;
  const int32_t answer = FirstLargestOfBlock<kThreads>(&largest, part.index, floats, integers);
  // Threads without a logit have a sum of 0.
  const double sum =
      SumOverBlock<kThreads>(part.sum * ExpOfNonPositive(part.largest - largest), doubles);
  // Before the gradient may be written over it, hence the barrier below.
  const float asked = ValueAt(logits, label);
  if (threadIdx.x == 0) {
    const double loss = ExactLog(sum) - (static_cast<double>(asked) - static_cast<double>(largest));
    rows.losses[r] = {loss, 1, answer == label ? 1 : 0};
  }
  if (gradients == nullptr) return;
  __syncthreads();

  const float share =
      rows.shares == nullptr
          ? 1.0f
          : static_cast<float>(rows.shares[(rows.first_row + r) / rows.rows_per_share]);
  const float factor = static_cast<float>(share / sum);
  for (int64_t j = first; j < rows.classes; j += kStep) {
    float values[kWidth];
    ReadLogits<kWidth>(logits, j, rows.classes, values);
    DROVER_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      values[k] = ExpOfNonPositive(values[k] - largest) * factor;
      if (j + k == label) values[k] -= share;
    }
    WriteGradients<kWidth>(gradients, j, rows.classes, values);
  }
}

template <int kThreads, int kWidth, typename Logit, typename Gradient>
void LaunchWith(const SoftmaxRows& rows, const Logit* logits, Gradient* gradients,
                const GpuStream& stream) {
  DROVER_LAUNCH((SoftmaxRowsKernel<Logit, Gradient, kThreads, kWidth>),
                static_cast<uint32_t>(rows.rows), kThreads, 0,
                static_cast<cudaStream_t>(stream.handle()), rows, logits, gradients);
}

template <typename Logit, typename Gradient>
void Launch(const SoftmaxRows& rows, const Logit* logits, Gradient* gradients,
            const GpuStream& stream) {
  if (rows.classes <= kNarrowClassesMax) {
    return LaunchWith<kNarrow, 1>(rows, logits, gradients, stream);
  }
  if constexpr (std::is_same_v<Logit, float>) {
    if (rows.stride % 4 == 0) return LaunchWith<kWide, 4>(rows, logits, gradients, stream);
  }
  LaunchWith<kWide, 1>(rows, logits, gradients, stream);
}

}  // namespace

Status SoftmaxRowsOnGpu(const SoftmaxRows& rows, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  if (rows.logits.type == ValueType::kF32) {
    const auto* const logits = static_cast<const float*>(rows.logits.data);
    ForType(rows.gradient, [&](auto* gradients) { Launch(rows, logits, gradients, stream); });
  } else {
    Launch(rows, static_cast<const uint16_t*>(rows.logits.data),
           static_cast<uint16_t*>(rows.gradient.data), stream);
  }
  return LaunchStatus("SoftmaxRows");
}

}  // namespace drover
