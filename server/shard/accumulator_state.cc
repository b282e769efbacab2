// What an Accumulator holds: restoring it and reading it. accumulator.cc has what arrives.

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "server/shard/accumulator.h"
#include "server/shard/accumulator_chunk.h"

namespace drover {

Status Accumulator::LoadGradient(uint32_t epoch, uint64_t step, std::span<const float> gradient,
                                 const StepStats& stats) {
  if (gradient.size() != gradient_elements()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("redo record of step {} holds a gradient of {} elements, expected {}",
                              step, gradient.size(), gradient_elements()));
  }
  Open(epoch, step);
  const LeafRange all = {0, ShapeAt(options_.shapes, static_cast<int64_t>(step)).leaves};
  for (const auto& chunk : chunks_) {
    MutexLock lock(&chunk->mutex);
    sums_->LoadMean(chunk->index, gradient.first(chunk->elements));
    gradient = gradient.subspan(chunk->elements);
    chunk->leaves.Add(all);
  }
  {
    MutexLock lock(&statistics_->mutex);
    statistics_->leaves.Add(all);
    statistics_->stats = stats;
  }
  MutexLock lock(&mutex_);
  parts_complete_ = chunks_.size() + 1;
  return Status();
}

BlockRange Accumulator::chunk_blocks(size_t chunk) const { return chunks_[chunk]->blocks; }

uint64_t Accumulator::gradient_elements() const {
  uint64_t elements = 0;
  for (const auto& chunk : chunks_) elements += chunk->elements;
  return elements;
}

bool Accumulator::complete() const {
  MutexLock lock(&mutex_);
  return parts_complete_ == chunks_.size() + 1;
}

std::span<const float> Accumulator::block_gradient(uint32_t block) const {
  const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), block,
                                      [](uint32_t index, const std::unique_ptr<Chunk>& chunk) {
                                        return index < chunk->blocks.begin;
                                      });
  DROVER_CHECK(after != chunks_.begin());
  const auto chunk = static_cast<size_t>(after - chunks_.begin()) - 1;
  DROVER_CHECK(block < chunks_[chunk]->blocks.end);
  const Block& place = layout_->blocks()[block];
  return gradient(chunk).subspan(place.offset - layout_->SpanOffset(chunks_[chunk]->blocks),
                                 place.size);
}

StepStats Accumulator::stats() const {
  MutexLock lock(&statistics_->mutex);
  return statistics_->stats;
}

uint32_t Accumulator::leaves() const {
  MutexLock lock(&statistics_->mutex);
  return statistics_->shape.leaves;
}

LeafSet Accumulator::complete_leaves() const {
  LeafSet leaves;
  {
    MutexLock lock(&statistics_->mutex);
    leaves = statistics_->leaves;
  }
  for (const auto& chunk : chunks_) {
    MutexLock lock(&chunk->mutex);
    leaves.IntersectWith(chunk->leaves);
  }
  return leaves;
}

std::optional<Culprit> Accumulator::culprit() const {
  MutexLock lock(&mutex_);
  return culprit_;
}

AccumulatorCounters Accumulator::counters() const {
  MutexLock lock(&mutex_);
  return counters_;
}

}  // namespace drover
