#include "common/gpu/access.cuh"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "server/optim/square_fold.cuh"
#include "tests/unit/server/optim/broken_sums_gpu.h"

namespace drover {
namespace {

// FoldStrip without the barrier between the warps' sums and their addition.
template <typename Array>
__device__ double FoldWithoutBarrier(double (&lanes)[4], Array& scratch) {
  for (unsigned offset = 16; offset > 0; offset /= 2) {
    for (double& lane : lanes) lane += __shfl_down_sync(0xffffffffu, lane, offset);
  }
  if (threadIdx.x % 32 == 0) {
    scratch[threadIdx.x / 32] = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  }
  if (threadIdx.x != 0) return 0.0;
  double sum = 0.0;
  for (unsigned s = 0; s < kStripSegments; ++s) sum += scratch[s];
  return sum;
}

template <Mistake kMistake>
__global__ void SumSquaresKernel(const float* values, double* strip_sums, uint32_t* arrived,
                                 double* sum) {
  DROVER_SHARED_ARRAY(double, scratch, kStripSegments);
  double lanes[1][4] = {};
  for (unsigned row = 0; row < kStripRows; ++row) {
    float four[4];
    ReadFour(values + blockIdx.x * kStripElements + StripElement(row), 4, four);
    for (int k = 0; k < 4; ++k) lanes[0][k] += static_cast<double>(four[k]) * four[k];
  }
  double own[1];
  if constexpr (kMistake == Mistake::kNoBarrier) {
    own[0] = FoldWithoutBarrier(lanes[0], scratch);
  } else {
    FoldStrip<1>(lanes, scratch, own);
  }
  if (threadIdx.x != 0) return;
  uint32_t place = blockIdx.x;
  if constexpr (kMistake == Mistake::kArrivalOrder) place = AddInteger(arrived + 1, 1u);
  strip_sums[place] = own[0];
  __threadfence();
  if (AddInteger(arrived, 1u) + 1 != gridDim.x) return;
  double total = 0.0;
  for (unsigned s = 0; s < gridDim.x; ++s) total += strip_sums[s];
  *sum = total;
}

}  // namespace

Status SumSquaresOnGpu(Mistake mistake, const float* values, uint32_t strips, double* scratch,
                       uint32_t* arrived, double* sum, const GpuStream& stream) {
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  DROVER_RETURN_IF_ERROR(ZeroBytes(stream, arrived, 2 * sizeof(uint32_t)));
  switch (mistake) {
    case Mistake::kNone:
      DROVER_LAUNCH(SumSquaresKernel<Mistake::kNone>, strips, kStripThreads, 0, handle, values,
                    scratch, arrived, sum);
      break;
    case Mistake::kNoBarrier:
      DROVER_LAUNCH(SumSquaresKernel<Mistake::kNoBarrier>, strips, kStripThreads, 0, handle, values,
                    scratch, arrived, sum);
      break;
    case Mistake::kArrivalOrder:
      DROVER_LAUNCH(SumSquaresKernel<Mistake::kArrivalOrder>, strips, kStripThreads, 0, handle,
                    values, scratch, arrived, sum);
      break;
  }
  return LaunchStatus("SumSquaresKernel");
}

}  // namespace drover
