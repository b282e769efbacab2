// One job on a simulated shard: the real core and the real chunk gate around toy sums. Memory goes
// with a crash, the disk stays. Checks I1, I2, I5 and I6 of docs/architecture.md as it goes. One
// thread.

#ifndef DROVER_TESTS_SIM_SIM_SHARD_H_
#define DROVER_TESTS_SIM_SIM_SHARD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/tensor/leaf_set.h"
#include "server/shard/chunk_gate.h"
#include "server/shard/shard.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_types.h"

namespace drover::sim {

class SimShard {
 public:
  struct Hooks {
    std::function<void(const ShardReply&)> reply;  // To the coordinator.
    std::function<void(const std::string& worker, const ToyFrame&)> ack;
    std::function<void(const std::string& worker, const ToyWeights&)> weights;
    std::function<void(const std::string& worker, uint64_t job, int64_t current)> gone;
    std::function<void()> crash;  // This shard dies now.
    std::function<void(const std::string& what)> violation;
    // Checkpoint storage shared by all shards: folder -> block -> number.
    std::map<std::string, BlockValues>* storage;
  };

  SimShard(std::string name, SimClock* clock, const Faults* faults, Mutant mutant, Hooks hooks);

  const std::string& name() const { return name_; }
  uint64_t incarnation() const { return incarnation_; }
  const Shard& core() const { return memory_->core; }
  const BlockValues* weights() const;  // Of the held version; null when empty.

  void Order(const ShardOrder& order);
  void Push(const std::string& worker, const ToyFrame& frame);
  void Pull(const std::string& worker, uint32_t epoch, int64_t version);

  void Crash(bool lose_disk);  // And starts again, empty.

  // Everything that reaches it waits until then.
  void FreezeUntil(Instant end) { frozen_until_ = end; }
  Instant frozen_until() const { return frozen_until_; }

 private:
  struct Chunk {
    BlockRange blocks;
    LeafSet leaves;
    std::vector<int> added;  // Per leaf: how often it was added, whatever the bitmap says.
    BlockValues sums;
  };
  struct Memory {
    Shard core;
    GateState gate;
    std::vector<Chunk> chunks;
    LeafSet stats_leaves;
    StepStats stats;
    int64_t duplicates = 0;
    int64_t refused = 0;
    std::map<int64_t, BlockValues> versions;                    // At most two.
    BlockValues gradient;                                       // Complete sums of the step.
    std::map<std::string, std::pair<uint32_t, int64_t>> pulls;  // Waiting: epoch, version.
  };
  struct RedoRecord {
    int64_t step = 0;
    std::optional<BlockValues> gradient;
    StepStats stats;
    std::optional<CommitOrder> commit;
  };
  struct Disk {
    uint64_t job = 0;
    BlockRange blocks;
    int64_t version = 0;
    BlockValues weights;
    std::vector<RedoRecord> redo;
  };

  void Run(const std::vector<ShardAction>& actions);
  void Do(const ShardAction& action);
  void Load(const LoadRange& action);
  void OpenStep(const Fence& fence);
  void Apply(const CommitOrder& order);
  BlockValues Applied(const BlockValues& weights, const BlockValues& gradient,
                      const CommitOrder& order) const;
  Verdict Add(const ToyFrame& frame);
  Verdict AddStats(const ToyFrame& frame);
  bool Complete() const;
  LeafSet CompleteLeaves() const;
  void ServePulls();
  ShardReply Prepared(const Fence& fence) const;
  ShardReply Measured(const Fence& fence) const;

  const std::string name_;
  SimClock* const clock_;
  const Faults* const faults_;
  const Mutant mutant_;
  const Hooks hooks_;
  uint64_t incarnation_;
  Instant frozen_until_;
  std::unique_ptr<Memory> memory_;
  std::optional<Disk> disk_;
};

}  // namespace drover::sim

#endif  // DROVER_TESTS_SIM_SIM_SHARD_H_
