// One simulated history: a coordinator, shards and workers made of the real cores, with a network
// that loses, repeats and overtakes messages and processes that crash, until the job has ended.
// One thread, one seed, no real time.

#ifndef DROVER_TESTS_SIM_SIM_CLUSTER_H_
#define DROVER_TESTS_SIM_SIM_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/coordinator/coordinator.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_shard.h"
#include "tests/sim/sim_types.h"
#include "tests/sim/sim_worker.h"

namespace drover::sim {

struct HistoryOptions {
  uint64_t seed = 1;
  uint32_t shards = 2;
  uint32_t workers = 2;
  Faults faults;
  Duration faults_last = std::chrono::seconds(3);
  Mutant mutant = Mutant::kNone;
  bool trust_ratio = true;   // LAMB, else AdamW.
  bool lookahead = false;    // LARS, else AMSGrad, with Lookahead around it.
  uint64_t job_seed = 3;     // Of the first job's weights; the next job has the next number.
  uint32_t jobs = 1;         // Submitted at once, in this order.
  uint32_t max_workers = 0;  // Of every job but the last; 0: all there are.
};

struct JobResult {
  JobState state = JobState::kQueued;
  std::string message;
  uint64_t weights_digest = 0;
  JobRecord record;
};

struct HistoryResult {
  std::vector<std::string> violations;
  std::vector<JobResult> jobs;
  bool side_by_side = false;  // Two jobs were running at some time.
  int64_t leaves_computed = 0;
  int64_t crashes = 0;
  int64_t shard_freezes = 0;
  double seconds = 0;  // Simulated.
};

// Runs until all jobs have ended or 600 simulated seconds are over.
HistoryResult RunHistory(const HistoryOptions& options);

}  // namespace drover::sim

#endif  // DROVER_TESTS_SIM_SIM_CLUSTER_H_
