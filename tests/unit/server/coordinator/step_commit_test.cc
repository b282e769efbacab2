#include "server/coordinator/step_commit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/philox.h"
#include "server/optim/step_scalars.h"

namespace drover {
namespace {

constexpr int64_t kBatch = 64;
constexpr int64_t kLeaves = 8;

std::shared_ptr<const Layout> SomeLayout() {
  return std::make_shared<const Layout>(Layout::Make({{"a/weight", {5, kBlockElements}, {}},
                                                      {"a/bias", {300}, {}},
                                                      {"b/weight", {3, kBlockElements + 5}, {}},
                                                      {"b/bias", {7}, {}}})
                                            .value());
}

JobRecord RecordOf(uint32_t shards, Rule rule) {
  JobRecord record;
  record.id = 9;
  record.epoch = 2;
  record.version = 5;
  record.applied = 4;
  record.layout = SomeLayout();
  PhasePlan phase;
  phase.batch = kBatch;
  phase.leaves = kLeaves;
  phase.schedule.peak = 0.02;
  record.plan.phases = {phase};
  record.plan.optimizer = DefaultSettings(rule);
  record.plan.optimizer.max_grad_norm = 1.0;
  for (const BlockRange& blocks : record.layout->Place(shards)) {
    record.placement.push_back({"shard", blocks});
  }
  return record;
}

// One number per block, the same whichever shard holds the block.
double BlockValue(uint64_t what, uint32_t block) {
  return 0.1 + static_cast<double>(UnitFloat(Philox(1, what, block)[0])) / 3.0;
}

std::vector<double> Values(uint64_t what, BlockRange blocks) {
  std::vector<double> values;
  for (uint32_t block = blocks.begin; block < blocks.end; ++block) {
    values.push_back(BlockValue(what, block));
  }
  return values;
}

PreparedReply VoteOf(const JobRecord& record, uint32_t shard) {
  const BlockRange blocks = record.placement[shard].blocks;
  PreparedReply vote;
  vote.fence = {record.id, record.epoch, record.version};
  vote.stats = {3 << 20, 16, kBatch};
  vote.gradient_squares = Values(1, blocks);
  vote.leaf_chunks = kLeaves * static_cast<int64_t>(record.layout->Chunks(blocks).size());
  return vote;
}

StepCommit::Outcome CommitOver(uint32_t shards, Rule rule, Ledger* ledger) {
  const JobRecord record = RecordOf(shards, rule);
  StepCommit step(record);
  for (uint32_t shard = 0; shard < shards; ++shard) {
    EXPECT_FALSE(step.all_prepared());
    PreparedReply vote = VoteOf(record, shard);
    vote.seconds = shard == 0 ? 0.5 : 0.25;
    EXPECT_TRUE(step.AddPrepared(shard, vote).ok());
  }
  EXPECT_TRUE(step.all_prepared());
  if (InfoOf(rule).trust_ratio) {
    for (uint32_t shard = 0; shard < shards; ++shard) {
      const BlockRange blocks = record.placement[shard].blocks;
      EXPECT_TRUE(step.AddMeasured(shard, {{}, Values(2, blocks), Values(3, blocks)}).ok());
    }
    EXPECT_TRUE(step.all_measured());
  }
  return step.Commit({record.id, record.epoch, record.version}, ledger);
}

// The norms added up block after block, and the LAMB paper's scale; nothing of StepCommit's own.
TEST(StepCommitTest, ScalesAreLearningRateTimesTrustRatioOfTheWholeTensor) {
  const std::shared_ptr<const Layout> layout = SomeLayout();
  Ledger ledger;
  const StepCommit::Outcome outcome = CommitOver(1, Rule::kLamb, &ledger);

  double gradient = 0.0;
  for (uint32_t block = 0; block < layout->block_count(); ++block) gradient += BlockValue(1, block);
  EXPECT_EQ(outcome.summary.gradient_norm, std::sqrt(gradient));
  EXPECT_EQ(outcome.summary.clip_factor, 1.0 / std::sqrt(gradient));
  for (const size_t tensor : {0u, 2u}) {
    double weight = 0.0;
    double direction = 0.0;
    const BlockRange blocks = layout->tensor_blocks(tensor);
    for (uint32_t block = blocks.begin; block < blocks.end; ++block) {
      weight += BlockValue(2, block);
      direction += BlockValue(3, block);
    }
    const double ratio = std::sqrt(weight) / std::sqrt(direction);
    EXPECT_EQ(outcome.summary.trust_ratios[tensor], ratio);
    EXPECT_EQ(outcome.commit.numbers.tensor_scales[tensor], static_cast<float>(0.02 * ratio));
  }
  for (const size_t bias : {1u, 3u}) {
    EXPECT_FALSE(outcome.summary.adapted[bias]);
    EXPECT_EQ(outcome.commit.numbers.tensor_scales[bias], 0.02f);
  }
}

TEST(StepCommitTest, AStepIsPreparedWhenItsSlowestShardIs) {
  Ledger ledger;
  EXPECT_EQ(CommitOver(2, Rule::kLamb, &ledger).summary.prepare_seconds, 0.5);
}

// Its ratio scales the gradient; the learning rate is among the constants.
TEST(StepCommitTest, ScalesOfLarsAreTheRatioAlone) {
  const std::shared_ptr<const Layout> layout = SomeLayout();
  Ledger ledger;
  const StepCommit::Outcome outcome = CommitOver(1, Rule::kLars, &ledger);

  const BlockRange blocks = layout->tensor_blocks(2);
  double weight = 0.0;
  double gradient = 0.0;
  for (uint32_t block = blocks.begin; block < blocks.end; ++block) {
    weight += BlockValue(2, block);
    gradient += BlockValue(3, block);
  }
  const double ratio =
      1e-3 * std::sqrt(weight) / (std::sqrt(gradient) + 1e-4 * std::sqrt(weight) + 1e-8);
  const UpdateNumbers& numbers = outcome.commit.numbers;
  EXPECT_EQ(outcome.summary.trust_ratios[2], ratio);
  EXPECT_EQ(numbers.tensor_scales[2], static_cast<float>(ratio));
  EXPECT_EQ(numbers.tensor_scales[1], 1.0f) << "a bias is not adapted";
  for (const StepScalars& group : numbers.groups) EXPECT_EQ(group.rectified, 0.02f);
}

TEST(StepCommitTest, AnyNumberOfShardsGivesTheSameNumbers) {
  for (const Rule rule : {Rule::kLamb, Rule::kLars, Rule::kAdamW, Rule::kSgd}) {
    Ledger ledger;
    const StepCommit::Outcome one = CommitOver(1, rule, &ledger);
    for (const uint32_t shards : {2u, 3u, 5u, 9u}) {
      const StepCommit::Outcome many = CommitOver(shards, rule, &ledger);
      EXPECT_EQ(many.commit.numbers.tensor_scales, one.commit.numbers.tensor_scales);
      ASSERT_EQ(many.commit.numbers.groups.size(), one.commit.numbers.groups.size());
      for (size_t group = 0; group < one.commit.numbers.groups.size(); ++group) {
        EXPECT_EQ(ToFloats(many.commit.numbers.groups[group]),
                  ToFloats(one.commit.numbers.groups[group]));
      }
      EXPECT_EQ(many.summary.gradient_norms, one.summary.gradient_norms);
    }
  }
}

TEST(StepCommitTest, TellsMeanLossAndAccuracyAndCountsEveryLeafChunk) {
  Ledger ledger;
  const StepCommit::Outcome outcome = CommitOver(3, Rule::kAdamW, &ledger);

  EXPECT_EQ(outcome.summary.loss, 3.0 / kBatch);
  EXPECT_EQ(outcome.summary.accuracy, 16.0 / kBatch);
  EXPECT_EQ(outcome.summary.applied, 5);
  EXPECT_EQ(ledger.leaves_expected, kLeaves);
  EXPECT_EQ(ledger.leaves_counted, kLeaves);
  EXPECT_EQ(ledger.leaf_chunks_expected, kLeaves * 3) << "one chunk on each shard";
  EXPECT_EQ(ledger.leaf_chunks_applied, ledger.leaf_chunks_expected);
}

TEST(StepCommitTest, TheSquaresOfTheLeavesAreASampleOfTheNoise) {
  const JobRecord record = RecordOf(2, Rule::kAdamW);
  const auto commit = [&record](const SquareTotal& squares) {
    StepCommit step(record);
    for (uint32_t shard = 0; shard < 2; ++shard) {
      PreparedReply vote = VoteOf(record, shard);
      vote.stats.squares = squares;
      vote.stats.tokens = 77;
      EXPECT_TRUE(step.AddPrepared(shard, vote).ok());
    }
    Ledger ledger;
    return step.Commit({}, &ledger);
  };

  const StepCommit::Outcome outcome = commit(SquareTotalOf(12.5));

  EXPECT_EQ(outcome.summary.tokens, 77);
  ASSERT_TRUE(outcome.noise.has_value());
  EXPECT_EQ(outcome.noise->leaf_squares, 12.5);
  EXPECT_EQ(outcome.noise->leaves, kLeaves);
  EXPECT_EQ(outcome.noise->leaf_samples, kBatch / kLeaves);
  EXPECT_EQ(outcome.noise->gradient_norm, outcome.summary.gradient_norm);
  EXPECT_FALSE(commit(kUnknownSquareTotal).noise.has_value());
}

TEST(StepCommitTest, RefusesVotesThatContradictTheLedger) {
  const JobRecord record = RecordOf(2, Rule::kAdamW);
  StepCommit step(record);
  ASSERT_TRUE(step.AddPrepared(0, VoteOf(record, 0)).ok());

  PreparedReply few_chunks = VoteOf(record, 1);
  --few_chunks.leaf_chunks;
  PreparedReply few_samples = VoteOf(record, 1);
  --few_samples.stats.samples;
  PreparedReply other_loss = VoteOf(record, 1);
  ++other_loss.stats.loss_fixed;
  PreparedReply short_squares = VoteOf(record, 1);
  short_squares.gradient_squares.pop_back();
  PreparedReply not_finite = VoteOf(record, 1);
  not_finite.gradient_squares[0] = std::nan("");

  for (const PreparedReply& vote :
       {few_chunks, few_samples, other_loss, short_squares, not_finite}) {
    EXPECT_EQ(step.AddPrepared(1, vote).code(), Code::kDataLoss);
    EXPECT_FALSE(step.has_prepared(1));
  }
}

TEST(StepCommitTest, RepeatedVoteChangesNothing) {
  const JobRecord record = RecordOf(2, Rule::kAdamW);
  StepCommit step(record);
  PreparedReply other = VoteOf(record, 0);
  other.gradient_squares[0] += 1.0;

  ASSERT_TRUE(step.AddPrepared(0, VoteOf(record, 0)).ok());
  ASSERT_TRUE(step.AddPrepared(0, other).ok());
  ASSERT_TRUE(step.AddPrepared(1, VoteOf(record, 1)).ok());

  Ledger ledger;
  EXPECT_EQ(step.Commit({}, &ledger).summary.gradient_norm,
            CommitOver(2, Rule::kAdamW, &ledger).summary.gradient_norm);
}

TEST(StepCommitTest, SkippedStepKeepsTheNumberOfAppliedUpdates) {
  const StepCommit step(RecordOf(1, Rule::kLamb));

  const StepCommit::Outcome outcome = step.Skip({9, 2, 5}, "leaf 3");

  EXPECT_TRUE(outcome.commit.skip);
  EXPECT_TRUE(outcome.summary.skipped);
  EXPECT_EQ(outcome.summary.applied, 4);
  EXPECT_EQ(outcome.summary.skip_reason, "leaf 3");
}

// n counts from the last phase that restarts it, the schedule from the phase.
TEST(StepCommitTest, APhaseRestartsItsScheduleAndPerhapsTheCountOfUpdates) {
  for (const bool restart : {false, true}) {
    JobRecord record = RecordOf(1, Rule::kAdamW);
    PhasePlan second = record.plan.phases[0];
    second.first_step = 5;
    second.schedule.warmup_steps = 4;
    second.restart_updates = restart;
    record.plan.phases[0].steps = 5;
    record.plan.phases.push_back(second);
    BeginPhaseIfDue(&record);  // At version 5 with 4 updates applied.
    StepCommit step(record);
    EXPECT_TRUE(step.AddPrepared(0, VoteOf(record, 0)).ok());
    Ledger ledger;

    const StepCommit::Outcome outcome = step.Commit({record.id, record.epoch, 5}, &ledger);

    EXPECT_EQ(outcome.summary.applied, 5);
    EXPECT_EQ(outcome.summary.learning_rate, 0.02 / 4);
    const int64_t n = restart ? 1 : 5;
    const GroupSettings group = GroupOf(record.plan.optimizer, record.layout->tensors()[0].name);
    EXPECT_EQ(ToFloats(outcome.commit.numbers.groups[0]),
              ToFloats(ComputeStepScalars(record.plan.optimizer, group, n, 0.02 / 4,
                                          outcome.summary.clip_factor)));
  }
}

// Counted over the whole job, whatever its phases do, and not over skipped steps.
TEST(StepCommitTest, LookaheadSynchronisesByAppliedUpdates) {
  for (const int64_t applied : {0, 1, 4, 5, 9}) {
    JobRecord record = RecordOf(1, Rule::kAdamW);
    record.plan.optimizer.lookahead_every = 5;
    record.applied = applied;
    record.schedule.updates_applied = applied / 2;
    StepCommit step(record);
    ASSERT_TRUE(step.AddPrepared(0, VoteOf(record, 0)).ok());
    Ledger ledger;

    const LookaheadStep lookahead = step.Commit({}, &ledger).commit.numbers.lookahead;

    EXPECT_EQ(lookahead.begin, applied == 0);
    EXPECT_EQ(lookahead.sync, applied == 4 || applied == 9);
    EXPECT_EQ(step.NumbersForMeasure().lookahead, LookaheadStep());
  }
}

TEST(StepCommitTest, GroupsHaveScalarsAndScalesOfTheirOwn) {
  for (const Rule rule : {Rule::kAdamW, Rule::kLamb}) {
    JobRecord record = RecordOf(1, rule);
    ParameterGroup apart{NamePattern::Compile("^b/").value(), {}, {}, false, 0.5};
    record.plan.optimizer.groups = {apart};
    StepCommit step(record);
    ASSERT_TRUE(step.AddPrepared(0, VoteOf(record, 0)).ok());
    const BlockRange blocks = record.placement[0].blocks;
    ASSERT_TRUE(step.AddMeasured(0, {{}, Values(2, blocks), Values(3, blocks)}).ok());
    Ledger ledger;

    const StepCommit::Outcome outcome = step.Commit({}, &ledger);

    const UpdateNumbers& numbers = outcome.commit.numbers;
    EXPECT_EQ(numbers.groups.size(), 4u);
    EXPECT_EQ(numbers.tensor_scales[1], 0.02f);
    EXPECT_EQ(numbers.tensor_scales[2], 0.01f) << "half the rate, and not adapted";
    EXPECT_EQ(numbers.tensor_scales[3], 0.01f);
    if (rule != Rule::kLamb) continue;
    double squares = 0.0;
    for (size_t tensor = 0; tensor < 4; ++tensor) {
      squares += std::pow(
          double{numbers.tensor_scales[tensor]} * outcome.summary.direction_norms[tensor], 2);
    }
    EXPECT_DOUBLE_EQ(outcome.summary.update_norm.value(), std::sqrt(squares));
  }
}

TEST(ScheduleStateTest, APlateauReducesTheRateOfTheOpenStepOnce) {
  JobRecord record = RecordOf(1, Rule::kAdamW);
  Schedule& schedule = record.plan.phases[0].schedule;
  schedule.decay = Decay::kPlateau;
  schedule.plateau.patience = 0;
  EXPECT_TRUE(PlateauLacks(record, 5));
  CountEvaluation({.version = 4, .loss = 1.0}, &record);
  EXPECT_EQ(LearningRateOf(record), 0.02);
  for (int again = 0; again < 2; ++again) {
    CountEvaluation({.version = 5, .loss = 1.0}, &record);
    EXPECT_EQ(LearningRateOf(record), 0.01);
    EXPECT_FALSE(PlateauLacks(record, 5));
  }
}

}  // namespace
}  // namespace drover
