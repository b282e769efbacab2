// A simulated worker: pulls a version from all shards, asks for work, computes toy leaves, pushes
// them until all shards have acknowledged. Checks I3. One thread.

#ifndef DROVER_TESTS_SIM_SIM_WORKER_H_
#define DROVER_TESTS_SIM_SIM_WORKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "server/coordinator/coordinator_events.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_types.h"

namespace drover::sim {

class SimWorker {
 public:
  struct Hooks {
    std::function<void(CoordinatorEvent)> tell;  // To the coordinator; session is filled in there.
    std::function<void(const std::string& shard, const ToyFrame&)> push;
    std::function<void(const std::string& shard, const Fence& version)> pull;
    std::function<void(const std::string& what)> violation;
    // Whether this lease is to be cut short, and how many of its leaves are kept.
    std::function<std::optional<uint32_t>(uint32_t leaves)> keeps;
  };

  SimWorker(std::string name, SimClock* clock, const std::map<uint64_t, JobPlan>* plans,
            std::shared_ptr<const Layout> layout, Hooks hooks);

  const std::string& name() const { return name_; }
  uint64_t incarnation() const { return incarnation_; }
  int64_t leaves_computed() const { return leaves_computed_; }

  void Order(const WorkerOrder& order);
  void Ack(const std::string& shard, const ToyFrame& ack);
  void Weights(const std::string& shard, const ToyWeights& weights);
  void Gone(uint64_t job, int64_t current);
  void Crash();
  void Freeze(Duration duration);  // Everything that reaches it waits until then.
  Instant frozen_until() const { return frozen_until_; }

 private:
  using Key = std::tuple<std::string, FrameType, uint32_t>;

  void Assign(const AssignmentOrder& order);
  void Forget();
  bool Serves(const Fence& fence) const;
  void StartPull(int64_t version);
  void Ask();
  void Work(const LeaseOrder& given);
  void Finish(const LeaseOrder& order);
  void Evaluate(const EvalLeaseOrder& order);
  void RepeatLater();  // Frames and requests that were not answered are sent again.

  const std::string name_;
  SimClock* const clock_;
  const std::map<uint64_t, JobPlan>* const plans_;
  const std::shared_ptr<const Layout> layout_;
  const Hooks hooks_;
  uint64_t incarnation_;
  uint64_t generation_ = 0;  // Of the assignment: late timers of an older one do nothing.
  Instant frozen_until_;

  std::optional<AssignmentOrder> assignment_;
  std::map<std::string, ToyWeights> parts_;
  int64_t wanted_ = -1;
  std::optional<int64_t> held_;
  uint64_t held_digest_ = 0;
  std::optional<LeaseOrder> lease_;
  std::map<Key, ToyFrame> unacknowledged_;
  bool busy_ = false;
  int64_t leaves_computed_ = 0;
};

}  // namespace drover::sim

#endif  // DROVER_TESTS_SIM_SIM_WORKER_H_
