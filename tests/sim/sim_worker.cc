#include "tests/sim/sim_worker.h"

#include <fmt/format.h>

#include <utility>

namespace drover::sim {
namespace {

constexpr Duration kRepeat = std::chrono::milliseconds(400);

}  // namespace

SimWorker::SimWorker(std::string name, SimClock* clock, const std::map<uint64_t, JobPlan>* plans,
                     std::shared_ptr<const Layout> layout, Hooks hooks)
    : name_(std::move(name)),
      clock_(clock),
      plans_(plans),
      layout_(std::move(layout)),
      hooks_(std::move(hooks)),
      incarnation_(clock->Draw(UINT64_MAX)) {}

void SimWorker::Crash() {
  incarnation_ = clock_->Draw(UINT64_MAX);
  Forget();
}

void SimWorker::Forget() {
  ++generation_;
  assignment_.reset();
  parts_.clear();
  held_.reset();
  lease_.reset();
  unacknowledged_.clear();
  busy_ = false;
  wanted_ = -1;
}

void SimWorker::Freeze(Duration duration) { frozen_until_ = clock_->now() + duration; }

void SimWorker::Order(const WorkerOrder& order) {
  if (const auto* assignment = std::get_if<AssignmentOrder>(&order)) {
    Assign(*assignment);
  } else if (const auto* lease = std::get_if<LeaseOrder>(&order)) {
    Work(*lease);
  } else if (const auto* evaluation = std::get_if<EvalLeaseOrder>(&order)) {
    Evaluate(*evaluation);
  } else if (const auto* pull = std::get_if<PullOrder>(&order)) {
    if (Serves(pull->fence)) StartPull(pull->fence.step);
  } else if (const auto* unassign = std::get_if<UnassignOrder>(&order)) {
    if (assignment_ && assignment_->job == unassign->job) Forget();
  }
}

bool SimWorker::Serves(const Fence& fence) const {
  return assignment_ && fence.job == assignment_->job && fence.epoch == assignment_->epoch;
}

void SimWorker::Assign(const AssignmentOrder& order) {
  if (assignment_ && order.job != assignment_->job) Forget();
  if (assignment_ && order.epoch < assignment_->epoch) return;
  hooks_.tell(ModelDescribed{0, order.job, order.epoch, layout_, 1000, 20, ""});
  const bool repeated = assignment_ && assignment_->epoch == order.epoch &&
                        assignment_->shards.size() == order.shards.size();
  if (repeated) return;
  assignment_ = order;
  ++generation_;
  lease_.reset();
  unacknowledged_.clear();
  parts_.clear();
  busy_ = false;
  wanted_ = -1;
  if (order.shards.empty()) return;
  RepeatLater();
  if (held_ && *held_ == order.version) {
    Ask();
    StartPull(order.version + 1);
  } else {
    StartPull(order.version);
  }
}

void SimWorker::StartPull(int64_t version) {
  wanted_ = version;
  parts_.clear();
  for (const ShardEntry& shard : assignment_->shards) {
    hooks_.pull(shard.name, {assignment_->job, assignment_->epoch, version});
  }
}

void SimWorker::Weights(const std::string& shard, const ToyWeights& weights) {
  if (!Serves({weights.job, weights.epoch, weights.version}) || weights.version != wanted_) return;
  parts_[shard] = weights;
  if (parts_.size() < assignment_->shards.size()) return;
  BlockValues all;
  for (const auto& [name, part] : parts_) {
    if (part.version != wanted_ || !Serves({part.job, part.epoch, part.version})) {
      hooks_.violation(
          fmt::format("I3: {} mixes versions {} and {}", name_, part.version, wanted_));
    }
    all.insert(part.values.begin(), part.values.end());
  }
  if (all.size() != layout_->block_count()) {
    hooks_.violation(
        fmt::format("I3: {} has {} of {} blocks", name_, all.size(), layout_->block_count()));
  }
  held_ = wanted_;
  held_digest_ = DigestOf(all);
  lease_.reset();
  unacknowledged_.clear();
  busy_ = false;
  Ask();
  StartPull(*held_ + 1);
}

void SimWorker::Gone(uint64_t job, int64_t current) {
  if (assignment_ && job == assignment_->job && current > wanted_) StartPull(current);
}

void SimWorker::Ask() {
  if (!assignment_ || !held_ || busy_) return;
  hooks_.tell(WorkRequested{0, {assignment_->job, assignment_->epoch, *held_}});
}

void SimWorker::Work(const LeaseOrder& given) {
  if (!Serves(given.fence) || !held_ || *held_ != given.fence.step || busy_) return;
  busy_ = true;
  LeaseOrder order = given;
  if (const std::optional<uint32_t> kept = hooks_.keeps(order.leaves.size())) {
    order.leaves.end = order.leaves.begin + *kept;
    hooks_.tell(LeaseReturned{0, order.fence, order.lease, order.leaves.end});
  }
  lease_ = order;
  const uint64_t generation = generation_;
  clock_->After(clock_->Between(500, 4000) * order.leaves.size(), [this, order, generation] {
    if (generation == generation_ && lease_ && lease_->lease == order.lease) Finish(order);
  });
}

void SimWorker::Finish(const LeaseOrder& order) {
  leaves_computed_ += order.leaves.size();
  for (const ShardEntry& shard : assignment_->shards) {
    ToyFrame frame;
    frame.header.job = order.fence.job;
    frame.header.epoch = order.fence.epoch;
    frame.header.step = static_cast<uint64_t>(order.fence.step);
    frame.header.leaf_begin = order.leaves.begin;
    frame.header.leaf_end = order.leaves.end;
    frame.header.layout_hash = layout_->hash();
    frame.header.type = FrameType::kStats;
    frame.header.encoding = FrameEncoding::kI64;
    frame.header.payload_bytes = kStepStatsBytes;
    const int64_t samples =
        plans_->at(order.fence.job).PhaseAt(order.fence.step).leaf_samples() * order.leaves.size();
    frame.stats = {samples * 7, samples / 2, samples, 0};
    unacknowledged_[{shard.name, FrameType::kStats, 0}] = frame;
    frame.header.type = FrameType::kGradient;
    const bool single = order.leaves.size() == 1;
    frame.header.encoding = single ? FrameEncoding::kF32 : FrameEncoding::kI64;
    for (const BlockRange& blocks : layout_->Chunks(shard.blocks)) {
      frame.header.block_begin = blocks.begin;
      frame.header.block_count = blocks.size();
      frame.header.payload_bytes =
          static_cast<uint32_t>(layout_->SpanElements(blocks) * (single ? 4 : 8));
      frame.sums.clear();
      for (uint32_t block = blocks.begin; block < blocks.end; ++block) {
        for (uint32_t leaf = order.leaves.begin; leaf < order.leaves.end; ++leaf) {
          frame.sums[block] +=
              static_cast<uint64_t>(LeafGradient(held_digest_, order.fence.step, leaf, block));
        }
      }
      unacknowledged_[{shard.name, FrameType::kGradient, blocks.begin}] = frame;
    }
  }
  for (const auto& [key, frame] : unacknowledged_) hooks_.push(std::get<0>(key), frame);
}

void SimWorker::Ack(const std::string& shard, const ToyFrame& ack) {
  if (!lease_ || static_cast<int64_t>(ack.header.step) != lease_->fence.step ||
      ack.header.leaves() != lease_->leaves || ack.header.epoch != lease_->fence.epoch ||
      ack.header.job != lease_->fence.job) {
    return;
  }
  if (IsRefusal(ack.header.verdict)) {
    lease_.reset();
    unacknowledged_.clear();
    busy_ = false;
    return;  // Asked again by the timer.
  }
  const FrameType type = ack.header.block_count == 0 ? FrameType::kStats : FrameType::kGradient;
  unacknowledged_.erase({shard, type, ack.header.block_begin});
  if (!unacknowledged_.empty()) return;
  hooks_.tell(LeaseDone{0, lease_->fence, lease_->lease, 0.01});
  lease_.reset();
  busy_ = false;
  Ask();
}

void SimWorker::Evaluate(const EvalLeaseOrder& order) {
  if (!Serves(order.fence) || !held_ || *held_ != order.fence.step || busy_) return;
  busy_ = true;
  const uint64_t generation = generation_;
  clock_->After(clock_->Between(500, 4000), [this, order, generation] {
    if (generation != generation_ || !busy_ || !held_ || *held_ != order.fence.step) return;
    busy_ = false;
    const int64_t samples = order.sample_end - order.sample_begin;
    hooks_.tell(EvalDone{0, order.fence, order.lease, samples * 3, samples / 2, samples});
    Ask();
  });
}

void SimWorker::RepeatLater() {
  const uint64_t generation = generation_;
  clock_->After(kRepeat, [this, generation] {
    if (generation != generation_ || !assignment_) return;
    for (const auto& [key, frame] : unacknowledged_) hooks_.push(std::get<0>(key), frame);
    for (const ShardEntry& shard : assignment_->shards) {
      if (parts_.count(shard.name) > 0) continue;
      hooks_.pull(shard.name, {assignment_->job, assignment_->epoch, wanted_});
    }
    Ask();
    RepeatLater();
  });
}

}  // namespace drover::sim
