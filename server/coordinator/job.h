// A job as the coordinator keeps it, and which states may follow which. The record is what the job
// store holds; everything else about a running job can be asked of the shards again. Pure values.

#ifndef DROVER_SERVER_COORDINATOR_JOB_H_
#define DROVER_SERVER_COORDINATOR_JOB_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "server/coordinator/noise_scale.h"
#include "server/job_plan.h"
#include "server/step_messages.h"

namespace drover {

// The numbers are those of proto/drover/v1/job.proto.
enum class JobState {
  kQueued = 1,
  kStarting = 2,
  kRunning = 3,
  kRecovering = 4,
  kSuspending = 5,
  kSuspended = 6,
  kCancelling = 7,
  kCancelled = 8,
  kSucceeded = 9,
  kFailed = 10,
};

const char* JobStateName(JobState state);  // "QUEUED" ...
bool HasEnded(JobState state);             // CANCELLED, SUCCEEDED or FAILED: for ever.

// Every leaf of every block once: applied == expected, checked at every commit.
struct Ledger {
  int64_t leaves_expected = 0;
  int64_t leaves_counted = 0;
  int64_t leaf_chunks_expected = 0;
  int64_t leaf_chunks_applied = 0;
  int64_t duplicates = 0;
  int64_t refused = 0;

  friend bool operator==(const Ledger&, const Ledger&) = default;
};

// One committed or skipped step. Units as in StepReport of job.proto.
struct StepSummary {
  int64_t step = 0;
  int64_t applied = 0;
  bool skipped = false;
  std::string skip_reason;
  double loss = 0;
  double accuracy = 0;
  int64_t samples = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double clip_factor = 1;
  double seconds = 0;
  double trust_ratio_min = 0;
  double trust_ratio_median = 0;
  double trust_ratio_max = 0;
  // Per tensor, for /metrics: [tensors], or empty when the step was skipped.
  std::vector<double> gradient_norms;
  std::vector<double> weight_norms;  // Empty for rules without a trust ratio, like the next two.
  std::vector<double> direction_norms;
  std::vector<double> trust_ratios;  // 1 where not adapted.
  std::vector<bool> adapted;
  // Of the whole model; not set when they were not measured.
  std::optional<double> weight_norm;
  std::optional<double> update_norm;
  std::optional<double> noise_scale;  // Smoothed, in samples; not set while it is not known.
  int64_t tokens = 0;
  int64_t limited_min = 0;  // Tensors whose ratio hit a bound.
  int64_t limited_max = 0;
  int64_t limited_zero_norm = 0;
  // From the opening of the step until its commit was handed on: until all leaves were there, then
  // until the slowest shard had voted, then until all had measured.
  double collect_seconds = 0;
  double prepare_seconds = 0;
  double ratio_seconds = 0;
};

struct EvalSummary {
  int64_t version = 0;
  double loss = 0;
  double accuracy = 0;
  int64_t samples = 0;
  // Of models that predict masked tokens, else 0: means over the tokens.
  double masked_loss = 0;
  double masked_accuracy = 0;
  int64_t masked_tokens = 0;
};

// What the learning rate and the noise scale of the open step depend on besides its number: a fold
// over commits and evaluations, kept with the step it belongs to, so that every takeover goes on
// with the same ones.
struct ScheduleState {
  int64_t phase_applied = 0;    // Updates applied before the open phase.
  int64_t updates_applied = 0;  // Updates applied before their count began again.
  PlateauState plateau;         // Of the open phase.
  NoiseState noise;             // Over the whole job.

  friend bool operator==(const ScheduleState&, const ScheduleState&) = default;
};

struct CheckpointRecord {
  int64_t version = 0;
  int64_t applied = 0;
  std::string path;
  int64_t bytes = 0;
  std::string weights_digest;
  Ledger ledger;                // As of this version, to go back to.
  ScheduleState schedule = {};  // Likewise.
};

struct Placement {
  std::string shard;  // Name.
  BlockRange blocks;

  friend bool operator==(const Placement&, const Placement&) = default;
};

// Hashes of all samples and labels. Equal ones mean the same data.
struct DataFingerprint {
  uint64_t train = 0;
  uint64_t eval = 0;

  friend bool operator==(const DataFingerprint&, const DataFingerprint&) = default;
};

struct JobRecord {
  uint64_t id = 0;
  int64_t order = 0;  // Of creation: first come, first served among equal priorities.
  std::string name;
  JobPlan plan;

  JobState state = JobState::kQueued;
  std::string reason;   // UPPER_SNAKE.
  std::string message;  // For people.
  uint32_t epoch = 0;
  int64_t version = 0;  // Steps committed: the version that follows them.
  int64_t applied = 0;  // Steps that were not skipped.
  int64_t consecutive_skips = 0;
  Ledger ledger;
  ScheduleState schedule;
  int64_t workers_lost = 0;
  int64_t shards_restarted = 0;
  double run_seconds = 0;  // Time in which steps were collected, for the deadline.

  std::shared_ptr<const Layout> layout;  // Null until a worker has described the model.
  int64_t train_samples = 0;
  int64_t eval_samples = 0;
  DataFingerprint data;  // Of the worker that described the model; 0, 0 in jobs of older releases.
  std::string numeric_class;
  std::vector<Placement> placement;  // Empty until placed. In order of blocks.

  std::optional<CommitOrder> last_commit;  // Of step version - 1, to be sent again.
  std::optional<StepSummary> last_step;
  std::optional<EvalSummary> last_eval;
  std::vector<CheckpointRecord> checkpoints;  // Committed ones, oldest first.
};

// After `version` and `applied` have moved on: when a phase begins here, so does its schedule.
void BeginPhaseIfDue(JobRecord* record);
// Takes the evaluation of the current version into account. Repeating it changes nothing.
void CountEvaluation(const EvalSummary& summary, JobRecord* record);
// Whether the rate of the open step still waits for the evaluation of the current version.
bool PlateauLacks(const JobRecord& record, int64_t version);
// Of the open step. Evaluations of its version or older ones are all it may depend on: with a
// plateau schedule they must have been counted.
double LearningRateOf(const JobRecord& record);

enum class JobVerb { kCancel, kSuspend, kResume };

// kFailedPrecondition naming verb and state when the verb does not fit; cancelling twice is fine.
Status CheckVerb(JobState state, JobVerb verb);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_H_
