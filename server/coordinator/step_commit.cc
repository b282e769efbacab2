#include "server/coordinator/step_commit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/optim/lookahead.h"
#include "server/optim/schedule.h"
#include "server/optim/step_scalars.h"
#include "server/optim/trust_ratio.h"

namespace drover {
namespace {

bool AllFinite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](double value) { return std::isfinite(value) && value >= 0.0; });
}

}  // namespace

TensorGroups GroupTensors(const OptimizerSettings& settings, const Layout& layout) {
  TensorGroups groups;
  for (const TensorSpec& tensor : layout.tensors()) {
    const GroupSettings group = GroupOf(settings, tensor.name);
    const auto found = std::find(groups.groups.begin(), groups.groups.end(), group);
    groups.of_tensor.push_back(static_cast<uint32_t>(found - groups.groups.begin()));
    if (found == groups.groups.end()) groups.groups.push_back(group);
  }
  return groups;
}

Status CheckFinite(const UpdateNumbers& numbers) {
  for (const StepScalars& group : numbers.groups) {
    const Result<StepScalars> checked = StepScalarsFromFloats(ToFloats(group));
    if (!checked.ok()) return checked.status();
  }
  for (size_t tensor = 0; tensor < numbers.tensor_scales.size(); ++tensor) {
    if (std::isfinite(numbers.tensor_scales[tensor])) continue;
    return Status(Code::kInvalidArgument, fmt::format("the scale of tensor {} is {}", tensor,
                                                      numbers.tensor_scales[tensor]));
  }
  return Status();
}

StepCommit::StepCommit(const JobRecord& record, std::shared_ptr<const TensorGroups> groups)
    : plan_(record.plan),
      phase_(plan_.PhaseAt(record.version)),
      layout_(record.layout),
      placement_(record.placement),
      step_(record.version),
      applied_before_(record.applied),
      update_number_(record.applied - record.schedule.updates_applied + 1),
      learning_rate_(LearningRateOf(record)),
      groups_(groups != nullptr
                  ? std::move(groups)
                  : std::make_shared<const TensorGroups>(GroupTensors(plan_.optimizer, *layout_))),
      shards_(record.placement.size()) {}

Status StepCommit::AddPrepared(uint32_t index, const PreparedReply& reply) {
  if (shards_[index].prepared) return Status();
  const Placement& placement = placement_[index];
  const int64_t chunks = static_cast<int64_t>(layout_->Chunks(placement.blocks).size());
  if (reply.gradient_squares.size() != placement.blocks.size() ||
      !AllFinite(reply.gradient_squares)) {
    return Status(Code::kDataLoss,
                  fmt::format("step {}: shard {} sent {} squares for {} blocks, "
                              "or one that is not finite",
                              step_, placement.shard, reply.gradient_squares.size(),
                              placement.blocks.size()));
  }
  if (reply.leaf_chunks != chunks * phase_.leaves || reply.stats.samples != phase_.batch) {
    return Status(Code::kDataLoss,
                  fmt::format("step {}: shard {} counted {} leaf-chunks and {} samples, expected "
                              "{} and {}",
                              step_, placement.shard, reply.leaf_chunks, reply.stats.samples,
                              chunks * phase_.leaves, phase_.batch));
  }
  for (size_t other = 0; other < shards_.size(); ++other) {
    const ShardVotes& votes = shards_[other];
    if (votes.prepared && !(votes.prepared->stats == reply.stats)) {
      return Status(Code::kDataLoss,
                    fmt::format("step {}: shards {} and {} counted different loss or accuracy of "
                                "the same leaves",
                                step_, placement_[other].shard, placement.shard));
    }
  }
  shards_[index].prepared = reply;
  return Status();
}

Status StepCommit::AddMeasured(uint32_t index, const MeasuredReply& reply) {
  if (shards_[index].measured) return Status();
  const Placement& placement = placement_[index];
  if (reply.weight_squares.size() != placement.blocks.size() ||
      reply.direction_squares.size() != placement.blocks.size() ||
      !AllFinite(reply.weight_squares) || !AllFinite(reply.direction_squares)) {
    return Status(Code::kDataLoss,
                  fmt::format("step {}: shard {} sent norms of {} and {} blocks, expected {} "
                              "finite ones",
                              step_, placement.shard, reply.weight_squares.size(),
                              reply.direction_squares.size(), placement.blocks.size()));
  }
  shards_[index].measured = reply;
  return Status();
}

void StepCommit::AddApplied(uint32_t index) { shards_[index].applied = true; }

bool StepCommit::all_prepared() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const ShardVotes& votes) { return votes.prepared.has_value(); });
}

bool StepCommit::all_measured() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const ShardVotes& votes) { return votes.measured.has_value(); });
}

bool StepCommit::all_applied() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const ShardVotes& votes) { return votes.applied; });
}

std::vector<double> StepCommit::Gather(const std::vector<double> PreparedReply::*part) const {
  std::vector<double> squares;
  for (const ShardVotes& votes : shards_) {
    const std::vector<double>& values = (*votes.prepared).*part;
    squares.insert(squares.end(), values.begin(), values.end());
  }
  return squares;
}

std::vector<double> StepCommit::Gather(const std::vector<double> MeasuredReply::*part) const {
  std::vector<double> squares;
  for (const ShardVotes& votes : shards_) {
    const std::vector<double>& values = (*votes.measured).*part;
    squares.insert(squares.end(), values.begin(), values.end());
  }
  return squares;
}

std::vector<double> StepCommit::TensorNorms(const std::vector<double>& block_squares) const {
  std::vector<double> norms;
  for (size_t tensor = 0; tensor < layout_->tensors().size(); ++tensor) {
    const BlockRange blocks = layout_->tensor_blocks(tensor);
    double sum = 0.0;
    for (uint32_t block = blocks.begin; block < blocks.end; ++block) sum += block_squares[block];
    norms.push_back(std::sqrt(sum));
  }
  return norms;
}

double StepCommit::GlobalNorm() const {
  double sum = 0.0;
  for (const double square : Gather(&PreparedReply::gradient_squares)) sum += square;
  return std::sqrt(sum);
}

double StepCommit::ClipFactorHere() const { return ClipFactor(plan_.optimizer, GlobalNorm()); }

UpdateNumbers StepCommit::NumbersForMeasure() const {
  UpdateNumbers numbers;
  const double clip = ClipFactorHere();
  for (const GroupSettings& group : groups_->groups) {
    numbers.groups.push_back(
        ComputeStepScalars(plan_.optimizer, group, update_number_, learning_rate_, clip));
  }
  numbers.tensor_groups = groups_->of_tensor;
  return numbers;
}

void StepCommit::AddRatios(StepSummary* summary, UpdateNumbers* numbers) const {
  summary->weight_norms = TensorNorms(Gather(&MeasuredReply::weight_squares));
  summary->direction_norms = TensorNorms(Gather(&MeasuredReply::direction_squares));
  std::vector<double> adapted;
  double update_squares = 0.0;
  for (size_t tensor = 0; tensor < layout_->tensors().size(); ++tensor) {
    const GroupSettings& group = GroupOfTensor(tensor);
    const TrustRatio ratio = ComputeTrustRatio(
        plan_.optimizer, group, summary->weight_norms[tensor], summary->direction_norms[tensor]);
    summary->trust_ratios.push_back(ratio.ratio);
    summary->adapted.push_back(group.adapt);
    if (group.adapt) adapted.push_back(ratio.ratio);
    if (ratio.limit == RatioLimit::kMin) ++summary->limited_min;
    if (ratio.limit == RatioLimit::kMax) ++summary->limited_max;
    if (ratio.limit == RatioLimit::kZeroNorm) ++summary->limited_zero_norm;
    numbers->tensor_scales.push_back(static_cast<float>(
        UpdateScale(plan_.optimizer, group, update_number_, learning_rate_, ratio.ratio)));
    if (!InfoOf(plan_.optimizer.rule).ratio_on_gradient) {
      const double moved = double{numbers->tensor_scales.back()} * summary->direction_norms[tensor];
      update_squares += moved * moved;
    }
  }
  double weight_squares = 0.0;
  for (const double norm : summary->weight_norms) weight_squares += norm * norm;
  summary->weight_norm = std::sqrt(weight_squares);
  if (!InfoOf(plan_.optimizer.rule).ratio_on_gradient) {
    summary->update_norm = std::sqrt(update_squares);
  }
  if (adapted.empty()) return;
  std::sort(adapted.begin(), adapted.end());
  summary->trust_ratio_min = adapted.front();
  summary->trust_ratio_median = adapted[adapted.size() / 2];
  summary->trust_ratio_max = adapted.back();
}

StepCommit::Outcome StepCommit::Commit(const Fence& fence, Ledger* ledger) const {
  const LeafStatsSum& stats = shards_.front().prepared->stats;
  Outcome outcome;
  outcome.commit.fence = fence;
  outcome.commit.numbers = NumbersForMeasure();
  StepSummary& summary = outcome.summary;
  summary.step = step_;
  summary.applied = applied_before_ + 1;
  summary.samples = stats.samples;
  summary.tokens = stats.tokens;
  summary.loss =
      static_cast<double>(stats.loss_fixed) * kLossUnit / static_cast<double>(stats.samples);
  summary.accuracy = static_cast<double>(stats.correct) / static_cast<double>(stats.samples);
  summary.learning_rate = learning_rate_;
  summary.gradient_norm = GlobalNorm();
  summary.clip_factor = ClipFactorHere();
  for (const ShardVotes& votes : shards_) {
    summary.prepare_seconds = std::max(summary.prepare_seconds, votes.prepared->seconds);
  }
  summary.gradient_norms = TensorNorms(Gather(&PreparedReply::gradient_squares));
  if (InfoOf(plan_.optimizer.rule).trust_ratio) {
    AddRatios(&summary, &outcome.commit.numbers);
  } else {
    for (size_t tensor = 0; tensor < layout_->tensors().size(); ++tensor) {
      outcome.commit.numbers.tensor_scales.push_back(static_cast<float>(
          UpdateScale(plan_.optimizer, GroupOfTensor(tensor), update_number_, learning_rate_,
                      /*trust_ratio=*/1.0)));
    }
  }
  outcome.commit.numbers.lookahead = LookaheadStepOf(plan_.optimizer, applied_before_ + 1);
  if (phase_.leaves > 1 && stats.squares.known()) {
    outcome.noise = NoiseSample{stats.squares.value(), phase_.leaves, phase_.batch / phase_.leaves,
                                summary.gradient_norm};
  }
  ledger->leaves_expected += phase_.leaves;
  ledger->leaves_counted += phase_.leaves;
  for (size_t index = 0; index < shards_.size(); ++index) {
    const int64_t chunks = static_cast<int64_t>(layout_->Chunks(placement_[index].blocks).size());
    ledger->leaf_chunks_expected += phase_.leaves * chunks;
    ledger->leaf_chunks_applied += shards_[index].prepared->leaf_chunks;
    ledger->duplicates += shards_[index].prepared->duplicates;
    ledger->refused += shards_[index].prepared->refused;
  }
  return outcome;
}

StepCommit::Outcome StepCommit::Skip(const Fence& fence, const std::string& reason) const {
  Outcome outcome;
  outcome.commit.fence = fence;
  outcome.commit.skip = true;
  outcome.summary.step = step_;
  outcome.summary.applied = applied_before_;
  outcome.summary.skipped = true;
  outcome.summary.skip_reason = reason;
  outcome.summary.learning_rate = learning_rate_;
  return outcome;
}

}  // namespace drover
