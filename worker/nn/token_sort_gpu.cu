// Pairs with token_sort_gpu.h. Per 8 bits three kernels: each block of kThreads elements counts its
// digits, one block turns the counts into places, each block puts its elements there. Per element
// and pass 24 bytes.

#include <bit>
#include <utility>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/token_sort_gpu.h"

namespace drover {
namespace {

constexpr int kDigits = 256;
constexpr int kThreads = kDigits;  // A thread per element, and one per digit.

uint32_t BlocksOf(int64_t count) {
  return static_cast<uint32_t>((count + kThreads - 1) / kThreads);
}

struct Pass {
  int64_t count;
  const int32_t* keys;
  int shift;
  const uint32_t* from;  // Null: 0, 1, 2, ...
};

// The element of this thread; its digit, or kDigits behind the end.
__device__ __forceinline__ unsigned DigitOfThread(const Pass& pass, uint32_t* element) {
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= pass.count) return kDigits;
  *element = pass.from == nullptr ? static_cast<uint32_t>(at) : pass.from[at];
  return static_cast<unsigned>(pass.keys[*element]) >> pass.shift & (kDigits - 1);
}

// counts: [blocks, kDigits].
__global__ void __launch_bounds__(kThreads) CountDigitsKernel(Pass pass, uint32_t* counts) {
  DROVER_SHARED_ARRAY(unsigned, digits, kThreads);
  uint32_t element = 0;
  digits[threadIdx.x] = DigitOfThread(pass, &element);
  __syncthreads();
  uint32_t count = 0;
  for (int i = 0; i < kThreads; ++i) {
    const unsigned digit = digits[i];
    count += digit == threadIdx.x ? 1u : 0u;
  }
  counts[int64_t{blockIdx.x} * kDigits + threadIdx.x] = count;
}

// One block. Each count becomes the place of the first such element.
__global__ void __launch_bounds__(kThreads) PlaceDigitsKernel(uint32_t blocks, uint32_t* counts) {
  DROVER_SHARED_ARRAY(uint32_t, totals, kDigits);
  uint32_t total = 0;
  for (uint32_t block = 0; block < blocks; ++block) {
    total += counts[int64_t{block} * kDigits + threadIdx.x];
  }
  totals[threadIdx.x] = total;
  __syncthreads();
  uint32_t place = 0;
  for (unsigned digit = 0; digit < threadIdx.x; ++digit) place += totals[digit];
  for (uint32_t block = 0; block < blocks; ++block) {
    uint32_t* const count = &counts[int64_t{block} * kDigits + threadIdx.x];
    const uint32_t own = *count;
    *count = place;
    place += own;
  }
}

__global__ void __launch_bounds__(kThreads)
    MoveKernel(Pass pass, const uint32_t* places, uint32_t* to) {
  DROVER_SHARED_ARRAY(unsigned, digits, kThreads);
  uint32_t element = 0;
  const unsigned own = DigitOfThread(pass, &element);
  digits[threadIdx.x] = own;
  __syncthreads();
  if (own == kDigits) return;
  uint32_t before = 0;
  for (unsigned i = 0; i < threadIdx.x; ++i) {
    const unsigned digit = digits[i];
    before += digit == own ? 1u : 0u;
  }
  to[places[int64_t{blockIdx.x} * kDigits + own] + before] = element;
}

}  // namespace

// Scratch: one more order, and the counts.
size_t TokenSortScratchBytes(int64_t count) {
  return (static_cast<size_t>(count) + size_t{BlocksOf(count)} * kDigits) * sizeof(uint32_t);
}

Status SortTokensOnGpu(const TokenSortGpu& sort, uint32_t* order, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const uint32_t blocks = BlocksOf(sort.count);
  uint32_t* const counts = sort.scratch + sort.count;
  const int bits = std::bit_width(static_cast<uint32_t>(sort.key_max));
  const int passes = bits <= 8 ? 1 : (bits + 7) / 8;
  // The last pass writes `order`.
  uint32_t* to = passes % 2 == 1 ? order : sort.scratch;
  uint32_t* other = passes % 2 == 1 ? sort.scratch : order;
  for (int i = 0; i < passes; ++i) {
    const Pass pass = {sort.count, sort.keys, 8 * i, i == 0 ? nullptr : other};
    DROVER_LAUNCH(CountDigitsKernel, blocks, kThreads, 0, handle, pass, counts);
    DROVER_LAUNCH(PlaceDigitsKernel, 1, kThreads, 0, handle, blocks, counts);
    DROVER_LAUNCH(MoveKernel, blocks, kThreads, 0, handle, pass, counts, to);
    std::swap(to, other);
  }
  return LaunchStatus("SortTokens");
}

}  // namespace drover
