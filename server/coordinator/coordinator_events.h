// The whole interface of the coordinator's core: what can happen (Event) and what it wants done
// (Action). Plain values; sockets, disk and clocks are the runtime's. Actions are carried out in
// order, and one that writes to the job store is durable before the next one begins.

#ifndef DROVER_SERVER_COORDINATOR_COORDINATOR_EVENTS_H_
#define DROVER_SERVER_COORDINATOR_COORDINATOR_EVENTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/tensor/layout.h"
#include "server/coordinator/job.h"
#include "server/step_messages.h"

namespace drover {

// One open stream of a worker or shard. Chosen by the runtime, never used again.
using SessionId = uint64_t;

// ---- Events: workers.
struct WorkerJoined {
  SessionId session;
  std::string name;
  std::string numeric_class;
  uint32_t lanes;
};
struct WorkerLeft {
  SessionId session;
  std::string reason;
};
struct WorkerLeaving {  // Wants no more work; the stream is still open.
  SessionId session;
};
struct ModelDescribed {
  SessionId session;
  uint64_t job;
  uint32_t epoch;
  std::shared_ptr<const Layout> layout;  // Null when `error` is set.
  int64_t train_samples;
  int64_t eval_samples;
  std::string error;
  DataFingerprint data = {};
  std::string dataset = {};  // Kind and path, for people.
  // Of the device that computes this job there; empty and 0: as it joined.
  std::string numeric_class = {};
  uint32_t lanes = 0;
};
struct WorkRequested {
  SessionId session;
  Fence fence;  // step: the version it holds.
};
struct LeaseDone {
  SessionId session;
  Fence fence;
  uint64_t lease;
  double seconds;
};
struct LeaseFailed {
  SessionId session;
  Fence fence;
  uint64_t lease;
  uint32_t leaf;
  std::string tensor;
  std::string what;
};
struct LeaseReturned {  // Its leaves from `leaf_begin` on were not begun and will not be.
  SessionId session;
  Fence fence;
  uint64_t lease;
  uint32_t leaf_begin;
};
struct EvalDone {
  SessionId session;
  Fence fence;  // step: the version.
  uint64_t lease;
  int64_t loss_fixed;
  int64_t correct;
  int64_t samples;
  // Of models that predict masked tokens.
  int64_t masked_loss_fixed = 0;
  int64_t masked_tokens = 0;
  int64_t masked_correct = 0;
};

// ---- Events: shards.
struct ShardJoined {
  SessionId session;
  std::string name;
  uint64_t incarnation;
  std::string address;
  std::vector<uint64_t> jobs = {};  // Of which it holds something, in memory or on its disk.
};
struct ShardLeft {
  SessionId session;
  std::string reason;
};
struct ShardReplied {
  SessionId session;
  ShardReply reply;
};

// ---- Events: users, storage, time.
struct JobAdded {  // New, or read from the store at start (then `restored`).
  JobRecord record;
  bool restored;
};
struct JobVerbRequested {  // Checked with CheckVerb before it is sent here.
  uint64_t job;
  JobVerb verb;
};
struct JobDeleted {
  uint64_t job;
};
struct ManifestCommitted {  // Answers CommitManifest.
  uint64_t job;
  CheckpointRecord checkpoint;  // path, bytes and digest filled in when there is no error.
  std::string error;
  double verify_seconds = 0;  // Of its duration: reading back what the shards have written.
};
struct Tick {};  // At least every 200 ms.

using CoordinatorEvent =
    std::variant<WorkerJoined, WorkerLeft, WorkerLeaving, ModelDescribed, WorkRequested, LeaseDone,
                 LeaseFailed, LeaseReturned, EvalDone, ShardJoined, ShardLeft, ShardReplied,
                 JobAdded, JobVerbRequested, JobDeleted, ManifestCommitted, Tick>;

// ---- Actions: messages.
struct ShardEntry {
  uint32_t index;
  std::string name;
  std::string address;
  uint64_t incarnation;
  BlockRange blocks;
};
struct AssignmentOrder {  // The job's spec is added by the runtime.
  uint64_t job;
  uint32_t epoch;
  std::vector<ShardEntry> shards;  // Empty until placed.
  int64_t version;
};
struct LeaseOrder {
  Fence fence;
  uint64_t lease;
  LeafRange leaves;
  int64_t timeout_ms;
};
struct EvalLeaseOrder {
  Fence fence;
  uint64_t lease;
  int64_t sample_begin;
  int64_t sample_end;
  int64_t timeout_ms;
};
struct PullOrder {
  Fence fence;
};
struct UnassignOrder {
  uint64_t job;
};
using WorkerOrder =
    std::variant<AssignmentOrder, LeaseOrder, EvalLeaseOrder, PullOrder, UnassignOrder>;

struct SendToWorker {
  SessionId session;
  WorkerOrder order;
};
struct SendToShard {
  SessionId session;
  ShardOrder order;
};
struct CloseSession {  // Replaced by a newcomer of the same name, or not admitted.
  SessionId session;
  std::string reason;
};

// ---- Actions: the job store.
struct RaiseEpoch {  // Compare-and-set; the process ends if it fails: somebody else took over.
  uint64_t job;
  uint32_t from;
  uint32_t to;
};
struct SaveJob {  // All that changes in a record: states, counters, layout, placement.
  JobRecord record;
};
struct SaveCommit {  // Commit record, report and job row in one transaction.
  JobRecord record;
  CommitOrder commit;
  StepSummary summary;
};
struct SaveCheckpoint {
  CheckpointRecord checkpoint;
  uint64_t job;
};

// ---- Actions: the rest.
struct CommitManifest {  // On the checkpoint thread; answered by ManifestCommitted.
  JobRecord record;
  int64_t version;
  int64_t applied;
  Ledger ledger;
  ScheduleState schedule;
  std::string directory;  // Staging folder, where the files are.
  struct File {
    std::string name;
    int64_t bytes;
    std::string xxh3;
    BlockRange blocks;
  };
  std::vector<File> files;
};
struct MakeCheckpointFolder {  // Before shards are told to write there.
  uint64_t job;
  std::string directory;
};
// Tell whoever watches. `task` is who it is about: coordinator, worker/NAME, shard/NAME.
enum class LogSeverity { kInfo, kWarning, kError };
struct LogEvent {
  uint64_t job;  // 0: no job.
  LogSeverity severity;
  std::string task;
  std::string text;
};
struct StateEvent {
  uint64_t job;
  JobState state;
};
struct EvalEvent {
  uint64_t job;
  EvalSummary summary;
};
// Figures for /metrics that no other action carries.
struct CountEvent {
  enum class What {
    kLeaseFirst,
    kLeaseAgain,
    kLeaseCopy,
    kLeaseDone,
    kLeaseExpired,
    kLeaseWorkerLost,
    kLeaseReturned,
    kLeaseSuperseded,
    kRefusedEpoch,
    kRefusedStep,
    kRefusedLease,
    kRefusedLayout,
    kRefusedNumericClass,
    kTakeoverCoordinator,
    kTakeoverShard,
    kTakeoverCheckpoint,
    kTakeoverSuspend,
    kDiscardedExpired,  // Samples that were leased and not counted: late, or computed twice.
    kDiscardedWorkerLost,
    kDiscardedSkipped,
    kDiscardedRolledBack,
    kCheckpointError,
    kCheckpointAbandoned,    // A takeover came before all shards had written.
    kCheckpointQuarantined,  // Of those to start from: a shard could not.
  };
  uint64_t job;
  What what;
  // Leaves of a granted lease, seconds of a done one, samples of discarded work, else 1.
  double value;
};

using CoordinatorAction =
    std::variant<SendToWorker, SendToShard, CloseSession, RaiseEpoch, SaveJob, SaveCommit,
                 SaveCheckpoint, CommitManifest, MakeCheckpointFolder, LogEvent, StateEvent,
                 EvalEvent, CountEvent>;

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_COORDINATOR_EVENTS_H_
