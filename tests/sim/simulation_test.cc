// Seeded histories of the real cores. Every history must end with the weights of the undisturbed
// one, every leaf counted once, and no invariant broken on the way.

#include <gtest/gtest.h>

#include <string>

#include "tests/sim/sim_cluster.h"

namespace drover::sim {
namespace {

std::string Describe(const HistoryOptions& options, const HistoryResult& result) {
  std::string text = "seed " + std::to_string(options.seed) + ", shards " +
                     std::to_string(options.shards) + ", workers " +
                     std::to_string(options.workers) + ", " + std::to_string(result.seconds) + " s";
  for (const JobResult& job : result.jobs) {
    text += std::string("\n  ") + JobStateName(job.state) + " " + job.record.reason + " " +
            job.message + ", version " + std::to_string(job.record.version);
  }
  for (const std::string& violation : result.violations) text += "\n  " + violation;
  return text;
}

uint64_t UndisturbedDigest(bool trust_ratio, bool lookahead = false, uint64_t job_seed = 3) {
  HistoryOptions calm;
  calm.shards = 1;
  calm.workers = 1;
  calm.trust_ratio = trust_ratio;
  calm.lookahead = lookahead;
  calm.job_seed = job_seed;
  return RunHistory(calm).jobs.front().weights_digest;
}

Faults Storm() {
  Faults faults;
  faults.drop = 30;
  faults.duplicate = 30;
  faults.slow = 30;
  faults.crash_coordinator = 10;
  faults.crash_shard = 15;
  faults.lose_disk = 100;
  faults.crash_worker = 20;
  faults.freeze_worker = 10;
  faults.freeze_shard = 5;
  faults.break_stream = 10;
  faults.return_leaves = 100;
  faults.crash_between_actions = 5;
  return faults;
}

bool JobHolds(const JobResult& job, uint64_t digest) {
  const Ledger& ledger = job.record.ledger;
  return job.state == JobState::kSucceeded && job.weights_digest == digest &&
         ledger.leaves_counted == ledger.leaves_expected &&
         ledger.leaves_counted == 5 * 8 + 3 * 6 &&  // Steps and leaves of the two phases.
         ledger.leaf_chunks_applied == ledger.leaf_chunks_expected;
}

bool Holds(const HistoryOptions& options, const HistoryResult& result, uint64_t digest) {
  return result.violations.empty() && JobHolds(result.jobs.front(), digest) && options.seed > 0;
}

// The toy job has two phases: see ToyPlan.
TEST(SimulationTest, TheSecondPhaseBeginsItsScheduleAndItsUpdatesAgain) {
  HistoryOptions calm;
  const HistoryResult result = RunHistory(calm);

  const JobRecord& record = result.jobs.front().record;
  EXPECT_EQ(record.schedule.phase_applied, 5);
  EXPECT_EQ(record.schedule.updates_applied, 5);
  EXPECT_EQ(record.last_step->learning_rate, 0.005);  // After two steps of warm-up.
}

TEST(SimulationTest, AnyNumberOfWorkersAndShardsGivesTheSameWeights) {
  for (const int rule : {0, 1, 2, 3}) {
    const bool trust_ratio = rule % 2 == 1;
    const bool lookahead = rule / 2 == 1;
    const uint64_t digest = UndisturbedDigest(trust_ratio, lookahead);
    EXPECT_NE(digest, 0u);
    for (uint32_t shards = 1; shards <= 5; ++shards) {
      for (uint32_t workers = 1; workers <= 8; ++workers) {
        HistoryOptions options;
        options.seed = 100 + shards * 10 + workers;
        options.shards = shards;
        options.workers = workers;
        options.trust_ratio = trust_ratio;
        options.lookahead = lookahead;
        const HistoryResult result = RunHistory(options);
        EXPECT_TRUE(Holds(options, result, digest)) << Describe(options, result);
      }
    }
  }
}

TEST(SimulationTest, FiveHundredStormsEndWithTheUndisturbedWeights) {
  const uint64_t digests[4] = {UndisturbedDigest(false), UndisturbedDigest(true),
                               UndisturbedDigest(false, true), UndisturbedDigest(true, true)};
  int64_t crashes = 0;
  int64_t shard_freezes = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    HistoryOptions options;
    options.seed = seed;
    options.shards = 1 + static_cast<uint32_t>(seed % 3);
    options.workers = 1 + static_cast<uint32_t>(seed / 3 % 4);
    options.trust_ratio = seed % 2 == 1;
    options.lookahead = seed / 2 % 2 == 1;
    options.faults = Storm();
    const HistoryResult result = RunHistory(options);
    ASSERT_TRUE(Holds(options, result, digests[seed % 4])) << Describe(options, result);
    crashes += result.crashes;
    shard_freezes += result.shard_freezes;
  }
  EXPECT_GT(crashes, 500) << "too little happened for this test to mean anything";
  EXPECT_GT(shard_freezes, 50);
  RecordProperty("crashes", std::to_string(crashes));
}

// Two jobs on the same shards, each with workers of its own: whatever happens, each ends as it ends
// alone. With one worker, or without a limit, one after the other.
TEST(SimulationTest, TwoJobsAtOnceEndAsEachOfThemAlone) {
  const uint64_t digests[2] = {UndisturbedDigest(true, false, 3),
                               UndisturbedDigest(true, false, 4)};
  ASSERT_NE(digests[0], digests[1]);
  int side_by_side = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    HistoryOptions options;
    options.seed = seed;
    options.shards = 1 + static_cast<uint32_t>(seed % 3);
    options.workers = 1 + static_cast<uint32_t>(seed / 3 % 4);
    options.jobs = 2;
    options.max_workers = static_cast<uint32_t>(seed % 3);
    if (seed > 20) options.faults = Storm();
    const HistoryResult result = RunHistory(options);
    ASSERT_TRUE(result.violations.empty()) << Describe(options, result);
    for (size_t job = 0; job < 2; ++job) {
      ASSERT_TRUE(JobHolds(result.jobs[job], digests[job])) << Describe(options, result);
    }
    side_by_side += result.side_by_side ? 1 : 0;
  }
  EXPECT_GT(side_by_side, 40) << "too few ran at once for this test to mean anything";
}

// A protocol that is broken on purpose must be noticed, or the histories above prove nothing.
int HistoriesThatNotice(Mutant mutant) {
  const uint64_t digest = UndisturbedDigest(true);
  int noticed = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    HistoryOptions options;
    options.seed = seed;
    options.shards = 2;
    options.workers = 3;
    options.faults = Storm();
    options.mutant = mutant;
    const HistoryResult result = RunHistory(options);
    if (!Holds(options, result, digest)) ++noticed;
  }
  return noticed;
}

TEST(SimulationTest, AShardThatDoesNotDedupeIsNoticed) {
  EXPECT_GT(HistoriesThatNotice(Mutant::kNoDedupe), 20);
}

TEST(SimulationTest, AShardThatDoesNotFenceEpochsIsNoticed) {
  EXPECT_GT(HistoriesThatNotice(Mutant::kNoFencing), 5);
}

TEST(SimulationTest, AShardThatVotesBeforeAllChunksAreInIsNoticed) {
  EXPECT_GT(HistoriesThatNotice(Mutant::kVoteEarly), 20);
}

}  // namespace
}  // namespace drover::sim
