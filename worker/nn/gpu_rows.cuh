// How the threads of a block of kRowThreads share rows of values: a warp per row up to 1024 values,
// the block per row above. Rows of up to kHeldPerThread values per thread stay in registers between
// two looks at them; longer ones are read again, from the cache as a rule.

#ifndef DROVER_WORKER_NN_GPU_ROWS_CUH_
#define DROVER_WORKER_NN_GPU_ROWS_CUH_

#include <stdint.h>

#include "common/gpu/kernel.h"
#include "worker/nn/block_reduce.cuh"
#include "worker/nn/gpu_vectors.cuh"

namespace drover {

inline constexpr int kRowBlockThreads = 128;
inline constexpr int kHeldPerThread = 32;

// kVectorWidth: values of one access. kThreadsPerRow: 32 or kRowBlockThreads.
template <int kVectorWidth, int kThreadsPerRow, bool kIsHeld>
struct RowSplit {
  static constexpr int kWidth = kVectorWidth;
  static constexpr int kThreads = kThreadsPerRow;
  static constexpr bool kHeld = kIsHeld;
  static constexpr int kSlots = kHeld ? kHeldPerThread / kWidth : 1;  // Vectors that a thread has.
  static constexpr int kRowsAtOnce = kRowBlockThreads / kThreads;     // Of a block.
  static constexpr int kSizeMax = kHeld ? kThreads * kHeldPerThread : 0;  // 0: any.

  __device__ static unsigned RowInBlock() { return threadIdx.x / kThreads; }
  __device__ static unsigned ThreadInRow() { return threadIdx.x % kThreads; }
};

// Calls body(slot, first) for each vector of this thread: values first to first + kWidth - 1 of the
// row.
template <typename Split, typename Body>
__device__ __forceinline__ void ForEachVector(int64_t size, const Body& body) {
  constexpr int kStep = Split::kThreads * Split::kWidth;
  const int64_t own = int64_t{Split::ThreadInRow()} * Split::kWidth;
  if constexpr (Split::kHeld) {
    DROVER_UNROLL
    for (int slot = 0; slot < Split::kSlots; ++slot) {
      if (own + slot * kStep < size) body(slot, own + slot * kStep);
    }
  } else {
    for (int64_t first = own; first < size; first += kStep) body(0, first);
  }
}

// A thread's share of one row.
template <typename Split, typename T>
class GpuRow {
 public:
  using Vector = float[Split::kWidth];

  __device__ GpuRow(const T* row, int64_t size) : row_(row) {
    if constexpr (Split::kHeld) {
      ForEachVector<Split>(
          size, [this](int slot, int64_t first) { ReadVector(row_ + first, held_[slot]); });
    }
  }
  // What ForEachVector names.
  __device__ const Vector& At(int slot, int64_t first) {
    if constexpr (!Split::kHeld) ReadVector(row_ + first, held_[slot]);
    return held_[slot];
  }

 private:
  const T* const row_;
  Vector held_[Split::kSlots];
};

// The sum over the threads of a row; all of them get it. scratch: a shared array of
// kRowBlockThreads / 32 values.
template <typename Split, typename T, typename Array>
__device__ __forceinline__ T SumOverRow(T value, Array& scratch) {
  return SumOverBlock<Split::kThreads>(value, scratch);
}

// Calls launch(split) with the RowSplit for rows of this size.
template <typename T, typename Launch>
void ForRowSplit(int64_t size, const Launch& launch) {
  constexpr int kWide = kVectorOf<T>;
  using OfWarp = RowSplit<kWide, 32, true>;
  using OfBlock = RowSplit<kWide, kRowBlockThreads, true>;
  if (!RowsAreAligned<T>(size)) {
    if (size <= OfWarp::kSizeMax) return launch(RowSplit<1, 32, true>());
    return launch(RowSplit<1, kRowBlockThreads, false>());
  }
  if (size <= OfWarp::kSizeMax) return launch(OfWarp());
  if (size <= OfBlock::kSizeMax) return launch(OfBlock());
  launch(RowSplit<kWide, kRowBlockThreads, false>());
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_ROWS_CUH_
