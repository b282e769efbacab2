#include "server/optim/update_plan.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/tensor/square_sum.h"

namespace drover {
namespace {

void AddPass(const UpdateTensor& tensor, uint32_t pass, std::vector<uint32_t>* tickets) {
  for (uint32_t i = 0; i < tensor.strip_count; ++i) {
    tickets->push_back((tensor.first_strip + i) | pass);
  }
}

using Wave = std::vector<const UpdateTensor*>;

// Large tensors first and alone, then the others in order.
std::vector<Wave> Waves(const UpdatePlan& plan, uint64_t wave_elements) {
  std::vector<Wave> waves;
  std::vector<Wave> small;
  uint64_t filled = 0;
  for (const UpdateTensor& tensor : plan.tensors) {
    if (tensor.strip_count == 0) continue;
    uint64_t size = 0;
    for (uint32_t i = 0; i < tensor.strip_count; ++i) {
      size += plan.strips[tensor.first_strip + i].size;
    }
    if (size > wave_elements) {
      waves.push_back({&tensor});
      continue;
    }
    if (small.empty() || filled + size > wave_elements) {
      small.emplace_back();
      filled = 0;
    }
    small.back().push_back(&tensor);
    filled += size;
  }
  waves.insert(waves.end(), small.begin(), small.end());
  return waves;
}

}  // namespace

UpdatePlan MakeUpdatePlan(const Layout& layout, BlockRange owned,
                          std::span<const uint32_t> tensor_groups) {
  DROVER_CHECK(tensor_groups.size() == layout.tensors().size());
  UpdatePlan plan;
  plan.tensors.assign(tensor_groups.size(), UpdateTensor{});
  for (size_t t = 0; t < tensor_groups.size(); ++t) plan.tensors[t].group = tensor_groups[t];
  plan.block_strips.push_back(0);
  if (owned.size() == 0) return plan;

  const uint64_t base = layout.SpanOffset(owned);
  plan.elements = layout.SpanElements(owned);
  for (uint32_t b = owned.begin; b < owned.end; ++b) {
    const Block& block = layout.blocks()[b];
    UpdateTensor& tensor = plan.tensors[block.tensor];
    if (tensor.block_count == 0) {
      tensor.first_block = b - owned.begin;
      tensor.first_strip = static_cast<uint32_t>(plan.strips.size());
    }
    for (uint32_t begin = 0; begin < block.size; begin += kStripElements) {
      const uint32_t size = std::min<uint32_t>(kStripElements, block.size - begin);
      plan.strips.push_back({block.offset - base + begin, size, block.tensor});
    }
    const auto strips = static_cast<uint32_t>(plan.strips.size());
    ++tensor.block_count;
    tensor.strip_count = strips - tensor.first_strip;
    plan.block_strips.push_back(strips);
  }
  for (size_t t = 0; t < plan.tensors.size(); ++t) {
    const uint32_t count = plan.tensors[t].block_count;
    if (count != 0 && count != layout.tensor_blocks(t).size()) plan.whole_tensors = false;
  }
  return plan;
}

std::vector<uint32_t> UpdateTickets(const UpdatePlan& plan, uint64_t wave_elements) {
  const std::vector<Wave> waves = Waves(plan, wave_elements);
  std::vector<uint32_t> tickets;
  tickets.reserve(2 * plan.strips.size());
  for (size_t w = 0; w <= waves.size(); ++w) {
    if (w < waves.size()) {
      for (const UpdateTensor* tensor : waves[w]) AddPass(*tensor, 0, &tickets);
    }
    if (w == 0) continue;
    for (const UpdateTensor* tensor : waves[w - 1]) AddPass(*tensor, kSecondPass, &tickets);
  }
  return tickets;
}

}  // namespace drover
