// How an update is cut up for a GPU: strips of 4,096 weights, the unit of a thread block's work;
// the tensors that they belong to; and the order of tickets in which a fused update hands them out.
// Plain tables that are copied to the device once per placement. Pure, no GPU needed.

#ifndef DROVER_SERVER_OPTIM_UPDATE_PLAN_H_
#define DROVER_SERVER_OPTIM_UPDATE_PLAN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/tensor/layout.h"
#include "server/optim/update_tables.h"

namespace drover {

struct UpdatePlan {
  std::vector<UpdateStrip> strips;     // In the order of their offsets.
  std::vector<uint32_t> block_strips;  // First strip of each owned block, then the count of strips.
  std::vector<UpdateTensor> tensors;   // All of the layout; one without owned blocks has no strips.
  uint64_t elements = 0;               // Of each array, gaps between tensors included.
  bool whole_tensors = true;           // No tensor is cut by the borders of the owned blocks.
};

// Of the blocks that one shard owns; offsets count from the first of them. tensor_groups: index of
// the parameter group of each tensor of the layout.
UpdatePlan MakeUpdatePlan(const Layout& layout, BlockRange owned,
                          std::span<const uint32_t> tensor_groups);

// What FusedUpdateOnGpu works off: every strip once with pass 1 (its number) and once with pass 2
// (its number | kSecondPass). Tensors are gathered into waves of at most `wave_elements` weights, a
// larger tensor is a wave alone and comes before all others. Pass 1 of wave k + 1 stands between
// the passes of wave k, so that a second pass finds its norms ready and its data still in the cache
// of the GPU.
std::vector<uint32_t> UpdateTickets(const UpdatePlan& plan, uint64_t wave_elements);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_UPDATE_PLAN_H_
