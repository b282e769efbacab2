// Pairs with recurrent_cell_gpu.h. One thread per unit of a sample, neighbours in neighbouring
// units. Bytes per unit in float32, biases from the cache: RNN 20 forward and 16 back, LSTM 64 and
// 56, GRU 52 and 48. tanh(c) is calculated again rather than kept.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/gpu_access.cuh"
#include "worker/nn/gpu_words.cuh"
#include "worker/nn/recurrent_cell_gpu.h"
#include "worker/nn/recurrent_formula.h"

namespace drover {
namespace {

using Cell = RecurrentSpec::Cell;

constexpr int kThreads = 128;

uint32_t BlocksOf(int64_t values) {
  return static_cast<uint32_t>((values + kThreads - 1) / kThreads);
}

// Unit `unit` of sample `sample`, element `index` of [B, H].
struct UnitPlace {
  int64_t index;
  int64_t sample;
  int64_t unit;
};
__device__ __forceinline__ UnitPlace PlaceOf(int64_t index, int64_t size) {
  // Of at most 2^32 gates in all steps (recurrent.cc), 32 bits number the units of one.
  const uint32_t sample = static_cast<uint32_t>(index) / static_cast<uint32_t>(size);
  return {index, sample, index - sample * size};
}

__device__ __forceinline__ float OrZero(const float* values, int64_t index) {
  return values == nullptr ? 0.0f : values[index];
}

// What gate `gate` is the function of; for the n of a GRU, without what the state before adds.
__device__ __forceinline__ float SumOf(const GpuCellForward& step, int64_t gates,
                                       const UnitPlace& at, int64_t gate, bool with_hidden) {
  const int64_t column = gate * step.size + at.unit;
  const int64_t index = at.sample * gates * step.size + column;
  const float sum = step.gates[index] + step.input_bias[column];
  if (!with_hidden) return sum;
  return sum + (OrZero(step.hidden_sums, index) + step.hidden_bias[column]);
}

// The h of this step, its gates and state stored.
template <Cell kCell>
__device__ __forceinline__ float StepForward(const GpuCellForward& step, const UnitPlace& at) {
  if constexpr (kCell == Cell::kRnn) {
    const float h = Tanh(SumOf(step, 1, at, 0, true));
    step.gates[at.index] = h;
    return h;
  } else if constexpr (kCell == Cell::kLstm) {
    const LstmState state = LstmStep({SumOf(step, 4, at, 0, true), SumOf(step, 4, at, 1, true),
                                      SumOf(step, 4, at, 2, true), SumOf(step, 4, at, 3, true)},
                                     OrZero(step.previous, at.index));
    float* const gates = step.gates + at.sample * 4 * step.size + at.unit;
    gates[0] = state.gates.i;
    gates[step.size] = state.gates.f;
    gates[2 * step.size] = state.gates.g;
    gates[3 * step.size] = state.gates.o;
    step.state[at.index] = state.c;
    return state.h;
  } else {
    const int64_t column = 2 * step.size + at.unit;
    const float hidden_n =
        OrZero(step.hidden_sums, at.sample * 3 * step.size + column) + step.hidden_bias[column];
    const GruState state = GruStep(
        {SumOf(step, 3, at, 0, true), SumOf(step, 3, at, 1, true), SumOf(step, 3, at, 2, false)},
        hidden_n, OrZero(step.previous, at.index));
    float* const gates = step.gates + at.sample * 3 * step.size + at.unit;
    gates[0] = state.gates.r;
    gates[step.size] = state.gates.z;
    gates[2 * step.size] = state.gates.n;
    step.hidden_n[at.index] = hidden_n;
    if (step.state != nullptr) step.state[at.index] = state.h;
    return state.h;
  }
}

template <Cell kCell, typename T>
__global__ void __launch_bounds__(kThreads)
    CellForwardKernel(GpuCellForward step, T* h, T* output) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= step.samples * step.size) return;
  const UnitPlace at = PlaceOf(index, step.size);
  const float value = StepForward<kCell>(step, at);
  SetValue(h, index, value);
  if (output != nullptr) SetValue(output, at.sample * step.output_stride + at.unit, value);
}

// Stores the gradients of the sums and of the state before, from that of h.
template <Cell kCell, typename T>
__device__ __forceinline__ void StepBackward(const GpuCellBackward& step, const UnitPlace& at,
                                             float dh, T* gradients) {
  const int64_t size = step.size;
  if constexpr (kCell == Cell::kRnn) {
    SetValue(gradients, at.index, RnnGradient(step.gates[at.index], dh));
  } else if constexpr (kCell == Cell::kLstm) {
    const float* const gates = step.gates + at.sample * 4 * size + at.unit;
    const LstmGradient gradient = LstmStepGradient(
        {gates[0], gates[size], gates[2 * size], gates[3 * size]}, OrZero(step.previous, at.index),
        Tanh(step.state[at.index]), dh, step.last ? 0.0f : step.dc[at.index]);
    step.dc[at.index] = gradient.previous_c;
    const int64_t first = at.sample * 4 * size + at.unit;
    SetValue(gradients, first, gradient.sums.i);
    SetValue(gradients, first + size, gradient.sums.f);
    SetValue(gradients, first + 2 * size, gradient.sums.g);
    SetValue(gradients, first + 3 * size, gradient.sums.o);
  } else {
    const float* const gates = step.gates + at.sample * 3 * size + at.unit;
    const GruGradient gradient =
        GruStepGradient({gates[0], gates[size], gates[2 * size]}, step.hidden_n[at.index],
                        OrZero(step.previous, at.index), dh);
    step.dh[at.index] = gradient.previous_h;
    const int64_t first = at.sample * 4 * size + at.unit;
    SetValue(gradients, first, gradient.sums.n);
    SetValue(gradients, first + size, gradient.sums.r);
    SetValue(gradients, first + 2 * size, gradient.sums.z);
    SetValue(gradients, first + 3 * size, gradient.hidden_n);
  }
}

template <Cell kCell, typename T>
__global__ void __launch_bounds__(kThreads)
    CellBackwardKernel(GpuCellBackward step, const T* output_gradient, T* gradients) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= step.samples * step.size) return;
  const UnitPlace at = PlaceOf(index, step.size);
  float dh = step.last ? 0.0f : step.dh[index];
  if (output_gradient != nullptr) {
    dh += ValueAt(output_gradient, at.sample * step.output_stride + at.unit);
  }
  StepBackward<kCell>(step, at, dh, gradients);
}

template <Cell kCell>
void LaunchForward(const GpuCellForward& step, cudaStream_t stream) {
  ForType(step.h, [&](auto* h) {
    using T = std::remove_cvref_t<decltype(*h)>;
    DROVER_LAUNCH((CellForwardKernel<kCell, T>), BlocksOf(step.samples * step.size), kThreads, 0,
                  stream, step, h, static_cast<T*>(step.output.data));
  });
}

template <Cell kCell>
void LaunchBackward(const GpuCellBackward& step, cudaStream_t stream) {
  ForType(step.gradients, [&](auto* gradients) {
    using T = std::remove_cvref_t<decltype(*gradients)>;
    DROVER_LAUNCH((CellBackwardKernel<kCell, T>), BlocksOf(step.samples * step.size), kThreads, 0,
                  stream, step, static_cast<const T*>(step.output_gradient.data), gradients);
  });
}

// Element j of a bias and that of the other are sums[j + offset], but for gate n of the input.
__global__ void __launch_bounds__(kThreads)
    StoreBiasGradientsKernel(int64_t count, int64_t offset, int64_t input_n, const float* sums,
                             GradientSum input_bias, GradientSum hidden_bias) {
  const int64_t j = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (j >= count) return;
  const float hidden = sums[offset + j];
  const float input = j >= input_n ? sums[j - input_n] : hidden;
  input_bias.values[j] = input_bias.accumulate ? input_bias.values[j] + input : input;
  hidden_bias.values[j] = hidden_bias.accumulate ? hidden_bias.values[j] + hidden : hidden;
}

constexpr int kRowThreads = 32;  // For one row of features; the block's other extent is rows.

// Row (t, b) of the result is row (b, t) of `x`.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    ToTimeMajorKernel(GpuSequences shape, const Word* x, Word* time_major) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= shape.steps * shape.samples) return;
  const int64_t step = row / shape.samples;
  const int64_t from = ((row - step * shape.samples) * shape.steps + step) * shape.features;
  for (int64_t j = threadIdx.x; j < shape.features; j += kRowThreads) {
    time_major[row * shape.features + j] = x[from + j];
  }
}

// Row (b, t) of the result is row (t, b) of `time_major`.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    FromTimeMajorKernel(GpuSequences shape, const float* time_major, T* x) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= shape.steps * shape.samples) return;
  const int64_t sample = row / shape.steps;
  const int64_t from = ((row - sample * shape.steps) * shape.samples + sample) * shape.features;
  for (int64_t j = threadIdx.x; j < shape.features; j += kRowThreads) {
    SetValue(x, row * shape.features + j, time_major[from + j]);
  }
}

const dim3 kRowBlock(kRowThreads, kThreads / kRowThreads);

uint32_t RowBlocksOf(const GpuSequences& shape) {
  const int64_t each = kThreads / kRowThreads;
  return static_cast<uint32_t>((shape.samples * shape.steps + each - 1) / each);
}

}  // namespace

Status CellForwardOnGpu(const GpuCellForward& step, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  switch (step.cell) {
    case Cell::kRnn:
      LaunchForward<Cell::kRnn>(step, handle);
      break;
    case Cell::kGru:
      LaunchForward<Cell::kGru>(step, handle);
      break;
    case Cell::kLstm:
      LaunchForward<Cell::kLstm>(step, handle);
      break;
  }
  return LaunchStatus("CellForwardKernel");
}

Status CellBackwardOnGpu(const GpuCellBackward& step, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  switch (step.cell) {
    case Cell::kRnn:
      LaunchBackward<Cell::kRnn>(step, handle);
      break;
    case Cell::kGru:
      LaunchBackward<Cell::kGru>(step, handle);
      break;
    case Cell::kLstm:
      LaunchBackward<Cell::kLstm>(step, handle);
      break;
  }
  return LaunchStatus("CellBackwardKernel");
}

Status StoreBiasGradientsOnGpu(RecurrentSpec::Cell cell, int64_t size, const float* sums,
                               const GradientSum& input_bias, const GradientSum& hidden_bias,
                               const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const int64_t offset = FirstHiddenGradient(cell) * size;
  const int64_t count = CellGradients(cell) * size - offset;
  const int64_t input_n = cell == Cell::kGru ? 2 * size : count;
  DROVER_LAUNCH(StoreBiasGradientsKernel, BlocksOf(count), kThreads, 0, handle, count, offset,
                input_n, sums, input_bias, hidden_bias);
  return LaunchStatus("StoreBiasGradientsKernel");
}

Status ToTimeMajorOnGpu(const GpuSequences& shape, ConstGpuValues x, GpuValues time_major,
                        const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const int64_t row_bytes = shape.features * static_cast<int64_t>(BytesOf(x.type));
  ForWord(row_bytes, [&](auto word) {
    using Word = decltype(word);
    GpuSequences words = shape;
    words.features = row_bytes / static_cast<int64_t>(sizeof(Word));
    DROVER_LAUNCH(ToTimeMajorKernel<Word>, RowBlocksOf(shape), kRowBlock, 0, handle, words,
                  static_cast<const Word*>(x.data), static_cast<Word*>(time_major.data));
  });
  return LaunchStatus("ToTimeMajorKernel");
}

Status FromTimeMajorOnGpu(const GpuSequences& shape, const float* time_major, GpuValues x,
                          const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  ForType(x, [&](auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    DROVER_LAUNCH(FromTimeMajorKernel<T>, RowBlocksOf(shape), kRowBlock, 0, handle, shape,
                  time_major, typed);
  });
  return LaunchStatus("FromTimeMajorKernel");
}

}  // namespace drover
