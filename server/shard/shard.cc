#include "server/shard/shard.h"

#include <fmt/format.h>

namespace drover {

std::vector<ShardAction> Shard::Handle(const ShardEvent& event) {
  struct Visitor {
    Shard* shard;
    std::vector<ShardAction> operator()(const PlaceOrder& e) { return shard->OnPlace(e); }
    std::vector<ShardAction> operator()(const MeasureOrder& e) { return shard->OnMeasure(e); }
    std::vector<ShardAction> operator()(const CommitOrder& e) { return shard->OnCommit(e); }
    std::vector<ShardAction> operator()(const StableOrder& e) { return shard->OnStable(e); }
    std::vector<ShardAction> operator()(const WriteCheckpointOrder& e) {
      return shard->OnCheckpoint(e);
    }
    std::vector<ShardAction> operator()(const ReleaseOrder& e) { return shard->OnRelease(e); }
    std::vector<ShardAction> operator()(const RangeLoaded& e) { return shard->OnLoaded(e); }
    std::vector<ShardAction> operator()(const GradientComplete& e) { return shard->OnComplete(e); }
  };
  return std::visit(Visitor{this}, event);
}

Fence Shard::Here() const { return {place_->job, place_->epoch, version_}; }

std::string Shard::CheckFence(const Fence& fence) const {
  if (!place_ || fence.job != place_->job) return "another job";
  if (fence.epoch != place_->epoch) {
    return fmt::format("epoch {}, here {}", fence.epoch, place_->epoch);
  }
  if (phase_ == Phase::kLoading) return "still loading";
  return "";
}

std::vector<ShardAction> Shard::OnPlace(const PlaceOrder& order) {
  if (place_ && order.job == place_->job && order.epoch < place_->epoch) {
    return {RefuseOrder{{order.job, order.epoch, 0},
                        fmt::format("place of epoch {}, here {}", order.epoch, place_->epoch)}};
  }
  const bool repeated = place_ && order.job == place_->job && order.epoch == place_->epoch;
  if (repeated && phase_ == Phase::kLoading) return {};  // Placed follows when it is loaded.
  const bool held = place_ && order.job == place_->job && order.blocks == place_->blocks &&
                    order.layout->hash() == place_->layout->hash() &&
                    (phase_ == Phase::kFilling || phase_ == Phase::kPrepared);
  if (repeated && !held) return {};
  if (held && (repeated || !order.discard)) {
    place_ = order;
    std::vector<ShardAction> actions;
    actions.push_back(AdoptEpoch{Here()});
    actions.push_back(SendPlaced{{Here(), phase_ == Phase::kPrepared, {}, ""}});
    if (phase_ == Phase::kPrepared) actions.push_back(SendPrepared{Here()});
    return actions;
  }
  place_ = order;
  phase_ = Phase::kLoading;
  return {CloseStep{}, LoadRange{order}};
}

std::vector<ShardAction> Shard::OnLoaded(const RangeLoaded& event) {
  // Loading was for an order that a newer one has replaced: its own RangeLoaded will come.
  if (phase_ != Phase::kLoading || event.fence.job != place_->job ||
      event.fence.epoch != place_->epoch) {
    return {};
  }
  if (!event.error.empty()) {
    const Fence fence{place_->job, place_->epoch, -1};
    place_.reset();
    phase_ = Phase::kEmpty;
    return {SendPlaced{{fence, false, {}, event.error}}};
  }
  version_ = event.fence.step;
  phase_ = event.prepared ? Phase::kPrepared : Phase::kFilling;
  std::vector<ShardAction> actions;
  if (!event.prepared) actions.push_back(OpenStep{Here()});
  actions.push_back(SendPlaced{{Here(), event.prepared, {}, ""}});
  if (event.prepared) actions.push_back(SendPrepared{Here()});
  return actions;
}

std::vector<ShardAction> Shard::OnComplete(const GradientComplete& event) {
  // The epoch may have been raised while the last chunk was on its way in: what counts is the step.
  if (phase_ != Phase::kFilling || event.fence.job != place_->job || event.fence.step != version_) {
    return {};
  }
  phase_ = Phase::kPrepared;
  return {AppendGradient{Here()}, SendPrepared{Here()}};
}

std::vector<ShardAction> Shard::OnMeasure(const MeasureOrder& order) {
  std::string why = CheckFence(order.fence);
  if (why.empty() && (phase_ != Phase::kPrepared || order.fence.step != version_)) {
    why = fmt::format("measure of step {}, here {} {}", order.fence.step, version_,
                      phase_ == Phase::kPrepared ? "prepared" : "not prepared");
  }
  if (!why.empty()) return {RefuseOrder{order.fence, why}};
  return {RunMeasure{order}};
}

std::vector<ShardAction> Shard::OnCommit(const CommitOrder& order) {
  std::string why = CheckFence(order.fence);
  if (why.empty() && order.fence.step + 1 == version_) return {SendApplied{order.fence}};
  if (why.empty() && order.fence.step != version_) {
    why = fmt::format("commit of step {}, here {}", order.fence.step, version_);
  }
  if (why.empty() && phase_ != Phase::kPrepared && !order.skip) {
    why = fmt::format("commit of step {}, which is not prepared", order.fence.step);
  }
  if (!why.empty()) return {RefuseOrder{order.fence, why}};
  ++version_;
  phase_ = Phase::kFilling;
  return {CloseStep{}, AppendCommit{order}, ApplyStep{order}, OpenStep{Here()},
          SendApplied{order.fence}};
}

std::vector<ShardAction> Shard::OnStable(const StableOrder& order) {
  const std::string why = CheckFence(order.fence);
  if (!why.empty()) return {RefuseOrder{order.fence, why}};
  if (order.fence.step >= version_) {
    return {RefuseOrder{order.fence,
                        fmt::format("stable step {}, here {}", order.fence.step, version_)}};
  }
  return {DropPrevious{order.fence}};
}

std::vector<ShardAction> Shard::OnCheckpoint(const WriteCheckpointOrder& order) {
  const std::string why = CheckFence(order.fence);
  if (!why.empty()) return {RefuseOrder{order.fence, why}};
  // The coordinator waits for this epoch's answer, and would wait long for none.
  if (order.fence.step != version_) {
    return {RefuseCheckpoint{
        order, fmt::format("checkpoint of version {}, here {}", order.fence.step, version_)}};
  }
  return {RunCheckpoint{order}};
}

std::vector<ShardAction> Shard::OnRelease(const ReleaseOrder& order) {
  if (!place_ || place_->job != order.job) return {ForgetJob{order.job}};
  place_.reset();
  phase_ = Phase::kEmpty;
  version_ = 0;
  return {CloseStep{}, ForgetJob{order.job}};
}

}  // namespace drover
