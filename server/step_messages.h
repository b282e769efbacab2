// What coordinator and shard say to each other about a step, as plain values: the cores and the
// simulator know these, the services turn them into proto/drover/v1/shard.proto and back. The
// meaning of every message stands there. No behaviour; any thread.

#ifndef DROVER_SERVER_STEP_MESSAGES_H_
#define DROVER_SERVER_STEP_MESSAGES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/tensor/layout.h"
#include "common/tensor/square_total.h"
#include "server/optim/elementwise.h"
#include "server/optim/lookahead.h"
#include "server/optim/rule_state.h"
#include "server/step_shape.h"

namespace drover {

// Whom a message is for: a job, its epoch and one of its steps.
struct Fence {
  uint64_t job = 0;
  uint32_t epoch = 0;
  int64_t step = 0;  // For checkpoints: the version.

  friend bool operator==(const Fence&, const Fence&) = default;
};

// Where a shard that holds nothing begins: a checkpoint, or version 0 from the initial weights.
struct Origin {
  std::string checkpoint;  // Folder; empty = initial weights.
  int64_t version = 0;

  friend bool operator==(const Origin&, const Origin&) = default;
};

// Sums over the counted samples of a step; the loss in units of 2^-20.
struct LeafStatsSum {
  int64_t loss_fixed = 0;
  int64_t correct = 0;
  int64_t samples = 0;
  int64_t tokens = 0;
  SquareTotal squares = {};  // Of the leaves' gradients, each a sum over its samples.

  friend bool operator==(const LeafStatsSum&, const LeafStatsSum&) = default;
};

// The numbers of one update: for Measure without scales, for Commit with them.
struct UpdateNumbers {
  std::vector<StepScalars> groups;
  std::vector<uint32_t> tensor_groups;  // [tensors] index into groups.
  std::vector<float> tensor_scales;     // [tensors] learning rate times trust ratio.
  LookaheadStep lookahead;              // Commit only.
};

// Coordinator to shard.
struct PlaceOrder {
  uint64_t job = 0;
  uint32_t epoch = 0;
  uint32_t shard_index = 0;
  uint32_t shard_count = 0;
  std::shared_ptr<const Layout> layout;
  BlockRange blocks;
  std::vector<StepShape> shapes;  // At least one; in order, the first one of step 0.
  int fraction_bits = 0;
  uint64_t seed = 0;
  RuleState rule;
  Origin origin;
  bool publish_bf16 = false;  // Workers pull weights in bfloat16.
  bool discard = false;       // Start from `origin` whatever is held.
  std::string token_key;      // Of the job's tokens in this epoch, added on the way: a secret.
};
struct MeasureOrder {
  Fence fence;
  UpdateNumbers numbers;
};
struct CommitOrder {
  Fence fence;
  bool skip = false;
  UpdateNumbers numbers;
};
struct StableOrder {
  Fence fence;
};
struct WriteCheckpointOrder {
  Fence fence;
  std::string directory;
};
struct ReleaseOrder {
  uint64_t job = 0;
};
using ShardOrder = std::variant<PlaceOrder, MeasureOrder, CommitOrder, StableOrder,
                                WriteCheckpointOrder, ReleaseOrder>;

inline uint64_t JobOfOrder(const ShardOrder& order) {
  return std::visit(
      [](const auto& what) {
        if constexpr (requires { what.fence; }) {
          return what.fence.job;
        } else {
          return what.job;
        }
      },
      order);
}

// Shard to coordinator.
struct PlacedReply {
  Fence fence;  // step: the version held now.
  bool prepared = false;
  std::vector<uint64_t> leaves;  // LeafSet words: leaves that every chunk holds.
  std::string error;
};
struct PreparedReply {
  Fence fence;
  LeafStatsSum stats;
  std::vector<double> gradient_squares;  // [owned blocks]
  int64_t leaf_chunks = 0;
  int64_t duplicates = 0;
  int64_t refused = 0;
  double seconds = 0;  // From the last chunk of the step until this; 0 where it was known before.
};
struct MeasuredReply {
  Fence fence;
  std::vector<double> weight_squares;     // [owned blocks]
  std::vector<double> direction_squares;  // [owned blocks]
};
struct AppliedReply {
  Fence fence;
};
struct CheckpointWrittenReply {
  Fence fence;
  std::string file;
  int64_t bytes = 0;
  std::string xxh3;
  std::string error;
};
using ShardReply =
    std::variant<PlacedReply, PreparedReply, MeasuredReply, AppliedReply, CheckpointWrittenReply>;

}  // namespace drover

#endif  // DROVER_SERVER_STEP_MESSAGES_H_
