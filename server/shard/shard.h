// The core of a shard: which order of the step commit may be obeyed now. Filling -> prepared ->
// applied, one step after the other; every order may be repeated, and one that has been obeyed
// already is answered again, never obeyed twice. Knows nothing of sums, files or streams.
// Not thread-safe: the step thread owns it.

#ifndef DROVER_SERVER_SHARD_SHARD_H_
#define DROVER_SERVER_SHARD_SHARD_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "server/shard/shard_events.h"

namespace drover {

class Shard {
 public:
  enum class Phase {
    kEmpty,     // Holds no job.
    kLoading,   // LoadRange is under way.
    kFilling,   // Takes chunks of step `version`.
    kPrepared,  // Gradient of step `version` is complete and logged; waits for the commit.
  };

  // Actions in the order in which they must be carried out.
  std::vector<ShardAction> Handle(const ShardEvent& event);

  Phase phase() const { return phase_; }
  int64_t version() const { return version_; }
  uint32_t epoch() const { return place_ ? place_->epoch : 0; }
  const std::optional<PlaceOrder>& place() const { return place_; }

 private:
  std::vector<ShardAction> OnPlace(const PlaceOrder& order);
  std::vector<ShardAction> OnLoaded(const RangeLoaded& event);
  std::vector<ShardAction> OnComplete(const GradientComplete& event);
  std::vector<ShardAction> OnMeasure(const MeasureOrder& order);
  std::vector<ShardAction> OnCommit(const CommitOrder& order);
  std::vector<ShardAction> OnStable(const StableOrder& order);
  std::vector<ShardAction> OnCheckpoint(const WriteCheckpointOrder& order);
  std::vector<ShardAction> OnRelease(const ReleaseOrder& order);

  // Empty when the fence is of this job and epoch, else why not.
  std::string CheckFence(const Fence& fence) const;
  Fence Here() const;  // Job, epoch, version.

  Phase phase_ = Phase::kEmpty;
  std::optional<PlaceOrder> place_;  // The newest one.
  int64_t version_ = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_H_
