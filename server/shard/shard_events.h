// The whole interface of the shard's core: what can happen (ShardEvent) and what it wants done
// (ShardAction). Plain values; sums, weights, files and streams are the runtime's. Actions are
// carried out in order on the step thread.

#ifndef DROVER_SERVER_SHARD_SHARD_EVENTS_H_
#define DROVER_SERVER_SHARD_SHARD_EVENTS_H_

#include <cstdint>
#include <string>
#include <variant>

#include "server/step_messages.h"

namespace drover {

// ---- Events. Orders come from the coordinator; an order may be repeated or arrive late.
// Answers LoadRange: what was found, or made from the origin.
struct RangeLoaded {
  Fence fence;            // step: the version held now.
  bool prepared = false;  // A redo record of step `version` was found and restored.
  std::string error;      // Not empty: nothing is held.
};
// The accumulator holds every leaf of every chunk of the step.
struct GradientComplete {
  Fence fence;
};
using ShardEvent = std::variant<PlaceOrder, MeasureOrder, CommitOrder, StableOrder,
                                WriteCheckpointOrder, ReleaseOrder, RangeLoaded, GradientComplete>;

// ---- Actions.
struct LoadRange {  // Local snapshot and redo records, else the origin; with discard the origin.
  PlaceOrder place;
};
struct OpenStep {  // Empties the accumulator, which now takes chunks of this fence and no others.
  Fence fence;
};
struct AdoptEpoch {  // The accumulator keeps what it holds and takes the new epoch from now on.
  Fence fence;
};
struct CloseStep {  // The accumulator refuses everything.
};
struct AppendGradient {  // Redo record of the complete gradient, written before the vote.
  Fence fence;
};
struct SendPlaced {  // With the accumulator's complete leaves.
  PlacedReply reply;
};
struct SendPrepared {  // Statistics and squares from the accumulator.
  Fence fence;
};
struct RunMeasure {  // Computes norms of u and w per block, writes nothing, sends Measured.
  MeasureOrder order;
};
struct AppendCommit {  // Redo record of the commit, before it is applied.
  CommitOrder order;
};
struct ApplyStep {  // New weights and state from the gradient; publishes version step + 1.
  CommitOrder order;
};
struct SendApplied {
  Fence fence;
};
struct DropPrevious {  // Version `step` may go: all shards hold step + 1.
  Fence fence;
};
struct RunCheckpoint {  // Writes the held version, sends CheckpointWritten.
  WriteCheckpointOrder order;
};
struct RefuseCheckpoint {  // Not the held version: CheckpointWritten says why, unless it was
                           // written.
  WriteCheckpointOrder order;
  std::string reason;
};
struct ForgetJob {  // Memory and local files.
  uint64_t job = 0;
};
struct RefuseOrder {  // Old epoch, wrong step: counted and logged, nothing else.
  Fence fence;
  std::string reason;
};
using ShardAction =
    std::variant<LoadRange, OpenStep, AdoptEpoch, CloseStep, AppendGradient, SendPlaced,
                 SendPrepared, RunMeasure, AppendCommit, ApplyStep, SendApplied, DropPrevious,
                 RunCheckpoint, RefuseCheckpoint, ForgetJob, RefuseOrder>;

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_EVENTS_H_
