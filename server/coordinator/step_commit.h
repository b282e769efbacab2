// The votes of one step and the numbers that follow from them: OPEN -> PREPARED by all -> MEASURED
// by all, if the rule has a trust ratio -> COMMIT -> APPLIED by all (STABLE). Sums of partials run
// over blocks in their order, so that no count of shards changes a bit of a norm.
// Pure; not thread-safe: JobRun owns it.

#ifndef DROVER_SERVER_COORDINATOR_STEP_COMMIT_H_
#define DROVER_SERVER_COORDINATOR_STEP_COMMIT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/coordinator/job.h"
#include "server/optim/settings.h"
#include "server/step_messages.h"

namespace drover {

// Of loss_fixed in what workers report of leaves and evaluations.
inline constexpr double kLossUnit = 0x1p-20;

// Which tensors are treated alike.
struct TensorGroups {
  std::vector<GroupSettings> groups;  // Distinct.
  std::vector<uint32_t> of_tensor;    // [tensors] index into groups.
};
TensorGroups GroupTensors(const OptimizerSettings& settings, const Layout& layout);

// kInvalidArgument naming the first number that is not finite in float32: no shard would take it.
Status CheckFinite(const UpdateNumbers& numbers);

class StepCommit {
 public:
  // The open step of `record`, which is placed and has a layout. Copies what it needs. `groups` are
  // those of GroupTensors, which a job needs once; null: it calls that.
  explicit StepCommit(const JobRecord& record,
                      std::shared_ptr<const TensorGroups> groups = nullptr);

  int64_t step() const { return step_; }

  // An evaluation has changed the rate; before NumbersForMeasure.
  void SetLearningRate(double learning_rate) { learning_rate_ = learning_rate; }

  // A vote of shard `index`; a repeated one changes nothing. kDataLoss when it contradicts the
  // ledger or another shard: the job cannot go on.
  Status AddPrepared(uint32_t index, const PreparedReply& reply);
  Status AddMeasured(uint32_t index, const MeasuredReply& reply);
  void AddApplied(uint32_t index);

  bool has_prepared(uint32_t index) const { return shards_[index].prepared.has_value(); }
  bool has_measured(uint32_t index) const { return shards_[index].measured.has_value(); }
  bool has_applied(uint32_t index) const { return shards_[index].applied; }
  bool all_prepared() const;
  bool all_measured() const;
  bool all_applied() const;

  // After all_prepared(): what Measure carries.
  UpdateNumbers NumbersForMeasure() const;

  // After all_prepared() and, with a trust ratio, all_measured(): the commit and what is told of
  // it; `fence` is put into the order. Adds the step to `ledger`.
  struct Outcome {
    CommitOrder commit;
    StepSummary summary;
    std::optional<NoiseSample> noise;  // Not of a step of one leaf, or when a leaf's is not known.
  };
  Outcome Commit(const Fence& fence, Ledger* ledger) const;

  // A step that changes nothing, because of what `reason` names.
  Outcome Skip(const Fence& fence, const std::string& reason) const;

 private:
  struct ShardVotes {
    std::optional<PreparedReply> prepared;
    std::optional<MeasuredReply> measured;
    bool applied = false;
  };
  // One value per block of the whole layout, collected from the shards' parts.
  std::vector<double> Gather(const std::vector<double> PreparedReply::*part) const;
  std::vector<double> Gather(const std::vector<double> MeasuredReply::*part) const;
  // Root of the sum over each tensor's blocks.
  std::vector<double> TensorNorms(const std::vector<double>& block_squares) const;
  double GlobalNorm() const;
  double ClipFactorHere() const;
  const GroupSettings& GroupOfTensor(size_t tensor) const {
    return groups_->groups[groups_->of_tensor[tensor]];
  }
  void AddRatios(StepSummary* summary, UpdateNumbers* numbers) const;

  const JobPlan plan_;
  const PhasePlan& phase_;  // In plan_.
  const std::shared_ptr<const Layout> layout_;
  const std::vector<Placement> placement_;
  const int64_t step_;
  const int64_t applied_before_;
  const int64_t update_number_;  // n of the rules: 1 for the first update.
  double learning_rate_;
  const std::shared_ptr<const TensorGroups> groups_;
  std::vector<ShardVotes> shards_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_STEP_COMMIT_H_
