// The update on a GPU: every rule of the table from the same elementwise.h as on the CPU, with the
// same bits. Each function puts kernels into a stream and returns; nothing waits for the device,
// and nothing is allocated, so a step can be recorded as one graph. Arguments are device memory
// that stays until the stream has passed. Any thread.
//
// A rule without trust ratio: ApplyOnGpu alone. With one, where the coordinator combines the norms
// of all shards: MeasureOnGpu, then ApplyOnGpu with its scales. Where this GPU holds whole tensors:
// MeasureOnGpu, TrustRatiosOnGpu, ApplyOnGpu, or FusedUpdateOnGpu, which is all three in one
// kernel.
//
// Errors: kInternal when the runtime refuses a launch; kUnimplemented in a build without CUDA.

#ifndef DROVER_SERVER_OPTIM_UPDATE_GPU_H_
#define DROVER_SERVER_OPTIM_UPDATE_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "server/optim/rule.h"
#include "server/optim/update.h"
#include "server/optim/update_tables.h"

namespace drover {

// Sums of squares of every strip, [strip_count]: reads weight, gradient and slots, writes nothing
// else. block_norms: of every block, [block_count], or null where nobody asks for them.
Status MeasureOnGpu(Rule rule, const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                    const UpdateArrays& arrays, BlockNorms* strip_norms, BlockNorms* block_norms,
                    const GpuStream& stream);

// From norms to scales: [tensor_count] each; `ratios` may be null. Tensors that the plan does not
// hold in whole get a scale that means nothing, those without strips none.
Status TrustRatiosOnGpu(const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                        const BlockNorms* strip_norms, float* tensor_scales, TensorRatio* ratios,
                        const GpuStream& stream);

// Slots, next_weight, slow and published. tensor_scales: [tensor_count], UpdateScale rounded to
// float32. Not repeatable, like CpuPasses::apply.
Status ApplyOnGpu(Rule rule, const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                  const UpdateArrays& arrays, const float* tensor_scales, const GpuStream& stream);

// Counters of a fused update: all zero before the first launch; every launch leaves them so.
struct FusedCounters {
  uint32_t* ticket;         // [1]
  uint32_t* blocks_done;    // [1]
  uint32_t* strips_done;    // [tensor_count]
  uint32_t* tensors_ready;  // [tensor_count]
};

// A whole update of a rule with trust ratio in one kernel that works off `tickets`
// (UpdateTickets). The plan has whole tensors only. strip_norms: [strip_count] scratch;
// tensor_scales and ratios: [tensor_count], results. thread_blocks: any number from 1 on; as many
// as the device holds at once (FusedThreadBlocks) is fastest. Moments of LAMB move on in its first
// pass, so the update cannot be repeated or stopped halfway.
Status FusedUpdateOnGpu(Rule rule, const UpdateTables& tables, const uint32_t* tickets,
                        uint32_t ticket_count, const UpdateNumbersOnGpu& numbers,
                        const UpdateArrays& arrays, const FusedCounters& counters,
                        BlockNorms* strip_norms, float* tensor_scales, TensorRatio* ratios,
                        uint32_t thread_blocks, const GpuStream& stream);

// Thread blocks of the fused update per multiprocessor: with more, the weights in flight would not
// stay in the cache until their second pass.
inline constexpr uint32_t kFusedBlocksPerMultiprocessor = 2;
// Weights of a wave for a device with this many multiprocessors: what is in flight at once.
constexpr uint64_t FusedWaveElements(uint32_t multiprocessors) {
  return uint64_t{multiprocessors} * kFusedBlocksPerMultiprocessor * 4096;
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_UPDATE_GPU_H_
