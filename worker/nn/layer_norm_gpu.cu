// Pairs with layer_norm_gpu.h. Forward reads x and writes y, backward reads x and dy and writes dx,
// each once; the gradients of weight and bias come out of the same pass, with 16 bytes more per
// column and slice of kSliceRows rows.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/column_sums_gpu.h"
#include "worker/nn/gpu_rows.cuh"
#include "worker/nn/layer_norm_gpu.h"

namespace drover {
namespace {

constexpr int kWarps = kRowBlockThreads / 32;
constexpr int64_t kSliceRows = 32;

int64_t SlicesOf(int64_t rows) { return (rows + kSliceRows - 1) / kSliceRows; }

template <typename T, typename Split>
__global__ void __launch_bounds__(kRowBlockThreads)
    ForwardKernel(LayerNormShape shape, double epsilon, const T* x, const float* weight,
                  const float* bias, float* means, float* inverse_deviations, T* y) {
  DROVER_SHARED_ARRAY(double, scratch, kWarps);
  const int64_t row = int64_t{blockIdx.x} * Split::kRowsAtOnce + Split::RowInBlock();
  if (row >= shape.rows) return;  // A whole warp; never, with a block per row.
  const int64_t size = shape.size;
  GpuRow<Split, T> values(x + row * size, size);

  double sum = 0.0;
  ForEachVector<Split>(size, [&](int slot, int64_t first) {
    const auto& own = values.At(slot, first);
    DROVER_UNROLL
    for (int k = 0; k < Split::kWidth; ++k) sum += double{own[k]};
  });
  const double mean = SumOverRow<Split>(sum, scratch) / static_cast<double>(size);

  double squares = 0.0;
  ForEachVector<Split>(size, [&](int slot, int64_t first) {
    const auto& own = values.At(slot, first);
    DROVER_UNROLL
    for (int k = 0; k < Split::kWidth; ++k) {
      const double off = double{own[k]} - mean;
      squares += off * off;
    }
  });
  const double variance = SumOverRow<Split>(squares, scratch) / static_cast<double>(size);

  const float shift = static_cast<float>(mean);
  const float scale = static_cast<float>(1.0 / sqrt(variance + epsilon));
  if (Split::ThreadInRow() == 0) {
    means[row] = shift;
    inverse_deviations[row] = scale;
  }
  ForEachVector<Split>(size, [&](int slot, int64_t first) {
    const auto& own = values.At(slot, first);
    float w[Split::kWidth], b[Split::kWidth], out[Split::kWidth];
    ReadVector(weight + first, w);
    ReadVector(bias + first, b);
    DROVER_UNROLL
    for (int k = 0; k < Split::kWidth; ++k) out[k] = (own[k] - shift) * scale * w[k] + b[k];
    WriteVector(y + row * size + first, out);
  });
}

// What the rows of a slice add to dweight and dbias: per thread, in registers if rows are. Others
// are added up in device memory, where each element belongs to one thread.
template <typename Split>
class SliceSums {
 public:
  // sums: [2, size], of this slice.
  __device__ explicit SliceSums(float* sums, int64_t size) : sums_(sums), size_(size) {}

  // The vector `first` of the slice's next row, or of its first.
  __device__ __forceinline__ void Add(int slot, int64_t first, bool is_first_row,
                                      const float (&weight)[Split::kWidth],
                                      const float (&bias)[Split::kWidth]) {
    DROVER_UNROLL
    for (int k = 0; k < Split::kWidth; ++k) {
      if constexpr (Split::kHeld) {
        held_[0][slot][k] += weight[k];
        held_[1][slot][k] += bias[k];
      } else {
        float* const dweight = sums_ + first + k;
        float* const dbias = dweight + size_;
        *dweight = is_first_row ? weight[k] : *dweight + weight[k];
        *dbias = is_first_row ? bias[k] : *dbias + bias[k];
      }
    }
  }

  // Writes what is in registers; warps that had rows of their own are added in order. combined: a
  // shared array of Split::kSizeMax floats per warp then. All threads call.
  template <typename Array>
  __device__ __forceinline__ void Finish(Array& combined) {
    if constexpr (Split::kHeld) {
      WriteHeld<0>(combined);
      WriteHeld<1>(combined);
    }
  }

 private:
  template <int kWhich, typename Array>
  __device__ __forceinline__ void WriteHeld(Array& combined) {
    float* const out = sums_ + kWhich * size_;
    if constexpr (Split::kRowsAtOnce == 1) {
      ForEachVector<Split>(
          size_, [&](int slot, int64_t first) { WriteVector(out + first, held_[kWhich][slot]); });
    } else {
      __syncthreads();  // What lay there is read.
      ForEachVector<Split>(size_, [&](int slot, int64_t first) {
        DROVER_UNROLL
        for (int k = 0; k < Split::kWidth; ++k) {
          combined[Split::RowInBlock() * Split::kSizeMax + first + k] = held_[kWhich][slot][k];
        }
      });
      __syncthreads();
      for (int64_t j = threadIdx.x; j < size_; j += kRowBlockThreads) {
        float sum = combined[j];
        DROVER_UNROLL
        for (int row = 1; row < Split::kRowsAtOnce; ++row) {
          const float other = combined[row * Split::kSizeMax + j];
          sum += other;
        }
        out[j] = sum;
      }
    }
  }

  float* const sums_;
  const int64_t size_;
  float held_[2][Split::kSlots][Split::kWidth] = {};
};

struct BackwardPointers {
  const float* weight;
  const float* means;
  const float* inverse_deviations;
  float* slice_sums;  // [slices, 2, size]
};

// blockIdx.x: a slice of the rows.
template <typename T, typename Split>
__global__ void __launch_bounds__(kRowBlockThreads)
    BackwardKernel(LayerNormShape shape, float inverse_size, BackwardPointers at, const T* x,
                   const T* dy, T* dx) {
  constexpr int kWidth = Split::kWidth;
  DROVER_SHARED_ARRAY(float, scratch, kWarps);
  DROVER_SHARED_ARRAY(float, combined,
                      Split::kRowsAtOnce == 1 ? 1 : Split::kRowsAtOnce * Split::kSizeMax);
  const int64_t size = shape.size;
  const int64_t begin = int64_t{blockIdx.x} * kSliceRows;
  const int64_t end = begin + kSliceRows < shape.rows ? begin + kSliceRows : shape.rows;
  SliceSums<Split> sums(at.slice_sums + int64_t{blockIdx.x} * 2 * size, size);
  for (int64_t row = begin + Split::RowInBlock(); row < end; row += Split::kRowsAtOnce) {
    GpuRow<Split, T> x_row(x + row * size, size);
    GpuRow<Split, T> dy_row(dy + row * size, size);
    const float shift = at.means[row];
    const float scale = at.inverse_deviations[row];

    float a_sum = 0.0f, az_sum = 0.0f;
    ForEachVector<Split>(size, [&](int slot, int64_t first) {
      const auto& own_x = x_row.At(slot, first);
      const auto& own_dy = dy_row.At(slot, first);
      float w[kWidth], dweight[kWidth];
      ReadVector(at.weight + first, w);
      DROVER_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        const float z = (own_x[k] - shift) * scale;
        const float a = own_dy[k] * w[k];
        dweight[k] = own_dy[k] * z;
        a_sum += a;
        az_sum += a * z;
      }
      sums.Add(slot, first, row == begin, dweight, own_dy);
    });
    if (dx == nullptr) continue;
    const float mean_a = SumOverRow<Split>(a_sum, scratch) * inverse_size;
    const float mean_az = SumOverRow<Split>(az_sum, scratch) * inverse_size;
    ForEachVector<Split>(size, [&](int slot, int64_t first) {
      const auto& own_x = x_row.At(slot, first);
      const auto& own_dy = dy_row.At(slot, first);
      float w[kWidth], out[kWidth];
      ReadVector(at.weight + first, w);
      DROVER_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        const float z = (own_x[k] - shift) * scale;
        out[k] = (own_dy[k] * w[k] - mean_a - z * mean_az) * scale;
      }
      WriteVector(dx + row * size + first, out);
    });
  }
  sums.Finish(combined);
}

}  // namespace

size_t LayerNormScratchBytesGpu(const LayerNormShape& shape) {
  return static_cast<size_t>(SlicesOf(shape.rows) * 2 * shape.size) * sizeof(float);
}

Status LayerNormForwardGpu(const GpuStream& stream, const LayerNormShape& shape, double epsilon,
                           ConstGpuValues x, const float* weight, const float* bias, float* means,
                           float* inverse_deviations, GpuValues y) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  ForType(y, [&](auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    ForRowSplit<T>(shape.size, [&](auto split) {
      using Split = decltype(split);
      const auto blocks =
          static_cast<uint32_t>((shape.rows + Split::kRowsAtOnce - 1) / Split::kRowsAtOnce);
      DROVER_LAUNCH((ForwardKernel<T, Split>), blocks, kRowBlockThreads, 0,
                    static_cast<cudaStream_t>(stream.handle()), shape, epsilon,
                    static_cast<const T*>(x.data), weight, bias, means, inverse_deviations, typed);
    });
  });
  return LaunchStatus("LayerNormForward");
}

Status LayerNormBackwardGpu(const GpuStream& stream, const LayerNormShape& shape,
                            const LayerNormBackwardArrays& arrays) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const int64_t slices = SlicesOf(shape.rows);
  const BackwardPointers at = {arrays.weight, arrays.means, arrays.inverse_deviations,
                               arrays.scratch};
  // Divided here: a division in the kernel is a call, around which registers are spilled.
  const auto inverse_size = static_cast<float>(1.0 / static_cast<double>(shape.size));
  ForType(arrays.dy, [&](const auto* dy) {
    using T = std::remove_cvref_t<decltype(*dy)>;
    ForRowSplit<T>(shape.size, [&](auto split) {
      DROVER_LAUNCH((BackwardKernel<T, decltype(split)>), static_cast<uint32_t>(slices),
                    kRowBlockThreads, 0, static_cast<cudaStream_t>(stream.handle()), shape,
                    inverse_size, at, static_cast<const T*>(arrays.x.data), dy,
                    static_cast<T*>(arrays.dx.data));
    });
  });
  DROVER_RETURN_IF_ERROR(LaunchStatus("LayerNormBackward"));
  DROVER_RETURN_IF_ERROR(AddSlicesOnGpu(
      {.slices = slices, .columns = shape.size, .stride = 2 * shape.size, .sums = arrays.scratch},
      arrays.dweight, stream));
  return AddSlicesOnGpu({.slices = slices,
                         .columns = shape.size,
                         .stride = 2 * shape.size,
                         .sums = arrays.scratch + shape.size},
                        arrays.dbias, stream);
}

}  // namespace drover
