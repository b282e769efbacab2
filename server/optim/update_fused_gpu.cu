// FusedUpdateOnGpu of update_gpu.h. Thread blocks draw tickets until there are none. A first pass
// measures a strip; whoever brings the last strip of a tensor adds up its norms, in their fixed
// order, and publishes the scale. A second pass waits for it and applies.
//
// Nobody waits in a circle: a second pass waits for first passes with lower tickets only, and the
// lowest ticket that is not done is always held by a thread block that works on it, because each
// finishes its ticket before the one that it drew in advance. So thread blocks need not all be on
// the device at once.

#include <array>

#include "common/gpu/cuda_status.h"
#include "server/optim/tensor_ratio.cuh"
#include "server/optim/update_gpu.h"
#include "server/optim/update_strip.cuh"

namespace drover {
namespace {

struct Fused {
  UpdateTables tables;
  const uint32_t* tickets;
  uint32_t ticket_count;
  UpdateNumbersOnGpu numbers;
  UpdateArrays arrays;
  FusedCounters counters;
  BlockNorms* strip_norms;
  float* tensor_scales;
  TensorRatio* ratios;
};

// The moments of LAMB do not depend on the ratio, so its first pass moves them on, and the second
// one neither reads the gradient again nor writes them.
template <Rule kRule>
inline constexpr bool kMovesEarly = kRule == Rule::kLamb;

template <Rule kRule, bool kSums, typename Scratch, typename Flag>
__device__ __forceinline__ void FirstPass(const Fused& f, uint32_t index, const UpdateStrip& strip,
                                          Scratch& scratch, Flag& last) {
  const UpdateTensor tensor = f.tables.tensors[strip.tensor];
  const UpdateGroup& group = f.numbers.groups[tensor.group];
  const StepScalars s = group.scalars;
  const BlockNorms norms = MeasureStrip<kRule, kSums, kMovesEarly<kRule>>(
      f.arrays, strip, s, f.numbers.step->mean_factor, scratch);
  __syncthreads();  // Slots of all threads are written before the strip counts as done.
  if (threadIdx.x == 0) {
    f.strip_norms[index] = norms;
    __threadfence();
    const uint32_t done = AddInteger(&f.counters.strips_done[strip.tensor], 1);
    last[0] = done + 1 == tensor.strip_count ? 1u : 0u;
    __threadfence();  // The last one sees the norms of all.
  }
  __syncthreads();
  if (last[0] == 0) return;

  const BlockNorms squares = SumTensor(f.tables, tensor, f.strip_norms, scratch);
  if (threadIdx.x == 0) {
    const TensorRatio ratio = RatioOf(group, squares);
    f.tensor_scales[strip.tensor] = ScaleOf(group, ratio);
    if (f.ratios != nullptr) f.ratios[strip.tensor] = ratio;
    StoreRelease(&f.counters.tensors_ready[strip.tensor], 1u);
  }
}

template <Rule kRule, bool kSums>
__device__ __forceinline__ void SecondPass(const Fused& f, const UpdateStrip& strip) {
  if (threadIdx.x == 0) {
    while (LoadAcquire(&f.counters.tensors_ready[strip.tensor]) == 0) SpinWait();
  }
  __syncthreads();
  const StepScalars s = f.numbers.groups[f.tables.tensors[strip.tensor].group].scalars;
  ApplyStrip<kRule, kSums, kMovesEarly<kRule>>(f.arrays, strip, s, *f.numbers.step,
                                               f.tensor_scales[strip.tensor]);
}

// Zeroes the counters when every thread block has drawn and done its last ticket.
template <typename Flag>
__device__ __forceinline__ void LeaveCountersZero(const Fused& f, Flag& last) {
  if (threadIdx.x == 0) {
    __threadfence();
    last[0] = AddInteger(f.counters.blocks_done, 1u) + 1 == gridDim.x ? 1u : 0u;
  }
  __syncthreads();
  if (last[0] == 0) return;
  for (uint32_t t = threadIdx.x; t < f.tables.tensor_count; t += kStripThreads) {
    f.counters.strips_done[t] = 0;
    f.counters.tensors_ready[t] = 0;
  }
  if (threadIdx.x == 0) {
    f.counters.ticket[0] = 0;
    f.counters.blocks_done[0] = 0;
  }
}

template <Rule kRule, bool kSums>
__global__ void __launch_bounds__(kStripThreads, kFusedBlocksPerMultiprocessor)
    FusedUpdateKernel(Fused f) {
  DROVER_SHARED_ARRAY(double, scratch, 2 * kStripThreads);
  DROVER_SHARED_ARRAY(uint32_t, drawn, 1);
  DROVER_SHARED_ARRAY(uint32_t, last, 1);
  uint32_t next = 0;
  if (threadIdx.x == 0) next = AddInteger(f.counters.ticket, 1u);
  while (true) {
    if (threadIdx.x == 0) drawn[0] = next;
    __syncthreads();
    const uint32_t position = drawn[0];
    __syncthreads();  // All have read it before the next one is written.
    if (position >= f.ticket_count) break;
    // Drawn in advance, so that its way through the memory does not add to the time of a ticket.
    if (threadIdx.x == 0) next = AddInteger(f.counters.ticket, 1u);
    const uint32_t ticket = f.tickets[position];
    const uint32_t index = ticket & ~kSecondPass;
    const UpdateStrip strip = f.tables.strips[index];
    if ((ticket & kSecondPass) == 0) {
      FirstPass<kRule, kSums>(f, index, strip, scratch, last);
    } else {
      SecondPass<kRule, kSums>(f, strip);
    }
  }
  LeaveCountersZero(f, last);
}

template <Rule kRule>
void LaunchFused(const Fused& f, uint32_t thread_blocks, cudaStream_t stream) {
  if (f.arrays.gradient == nullptr) {
    DROVER_LAUNCH((FusedUpdateKernel<kRule, true>), thread_blocks, kStripThreads, 0, stream, f);
  } else {
    DROVER_LAUNCH((FusedUpdateKernel<kRule, false>), thread_blocks, kStripThreads, 0, stream, f);
  }
}

}  // namespace

Status FusedUpdateOnGpu(Rule rule, const UpdateTables& tables, const uint32_t* tickets,
                        uint32_t ticket_count, const UpdateNumbersOnGpu& numbers,
                        const UpdateArrays& arrays, const FusedCounters& counters,
                        BlockNorms* strip_norms, float* tensor_scales, TensorRatio* ratios,
                        uint32_t thread_blocks, const GpuStream& stream) {
  DROVER_CHECK(InfoOf(rule).trust_ratio && thread_blocks > 0);
  if (ticket_count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const Fused f{tables,   tickets,     ticket_count,  numbers, arrays,
                counters, strip_norms, tensor_scales, ratios};
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  if (rule == Rule::kLamb) LaunchFused<Rule::kLamb>(f, thread_blocks, handle);
  if (rule == Rule::kLars) LaunchFused<Rule::kLars>(f, thread_blocks, handle);
  return LaunchStatus("FusedUpdateKernel");
}

}  // namespace drover
