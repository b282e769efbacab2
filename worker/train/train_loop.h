// The story of a worker: lease -> read -> forward -> backward -> sum -> push -> wait. One thread
// owns all state here and sleeps on one queue of events; lanes compute, links carry frames.
//
// For each step the worker pulls version t from all shards, asks for work, computes the leaves it
// is given, pushes their sums, reports the lease when every shard has acknowledged it, and asks
// again, until version t+1 arrives. Nothing is kept over a restart: all a worker knows can be asked
// for again.

#ifndef DROVER_WORKER_TRAIN_TRAIN_LOOP_H_
#define DROVER_WORKER_TRAIN_TRAIN_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/rpc/frame_header.h"
#include "proto/drover/v1/worker.pb.h"
#include "worker/comm/chunk_map.h"
#include "worker/comm/shard_link.h"
#include "worker/comm/weights_inbox.h"
#include "worker/train/job_setup.h"
#include "worker/train/lane_pool.h"
#include "worker/train/lease_run.h"

namespace drover {

class WorkerMetrics;

class TrainLoop {
 public:
  struct Options {
    std::string name;
    uint32_t lanes = 1;
    std::function<void(v1::WorkerMessage)> send;  // To the coordinator; never blocks.
    WorkerMetrics* metrics = nullptr;             // May be null.
  };

  explicit TrainLoop(Options options);
  ~TrainLoop();

  // From any thread.
  void OnOrder(v1::WorkerOrder order);
  void OnDisconnected();  // From the coordinator; it assigns again.
  void Leave();           // Finish the open lease, then Run returns.

  // Until Leave.
  void Run();

 private:
  struct LinkAck {
    uint64_t generation;
    FrameHeader ack;
  };
  struct WeightsComplete {
    uint64_t generation;
  };
  struct VersionGone {
    uint64_t generation;
    int64_t current;
  };
  struct LanesIdle {};
  struct Disconnected {};
  struct LeaveNow {};
  using Event = std::variant<v1::WorkerOrder, LinkAck, WeightsComplete, VersionGone, LanesIdle,
                             Disconnected, LeaveNow>;

  void Handle(Event event);
  void HandleOrder(const v1::WorkerOrder& order);
  void Assign(const v1::Assignment& assignment);
  void Describe(const v1::Assignment& assignment, const std::string& error);
  void Connect(const v1::Assignment& assignment);
  void Disconnect();  // From all shards; drops the open lease.
  void DropJob();

  void Pull(int64_t version);
  void OnPullOrder(int64_t version);
  void OnWeightsComplete();
  void OnVersionGone(int64_t current);
  void AskForWork();
  void StopWaiting();  // Work has come.

  void StartLease(const v1::Lease& lease);
  void StartEvaluation(const v1::EvalLease& lease);
  void OnAck(const FrameHeader& ack);
  void CheckLease();  // After anything that may have ended it.
  void OnLanesIdle();
  void Tick();

  bool FenceHolds(uint64_t job, uint32_t epoch) const;

  const Options options_;
  BoundedQueue<Event> events_;
  bool leaving_ = false;
  bool left_ = false;

  // The job.
  std::optional<v1::Assignment> assignment_;
  JobSetup setup_;
  std::shared_ptr<const Layout> layout_;
  std::unique_ptr<LanePool> lanes_;

  // Its shards. A new generation after every Connect: late events of the old one are ignored.
  uint64_t generation_ = 0;
  std::shared_ptr<const ChunkMap> chunks_;
  std::unique_ptr<WeightsInbox> inbox_;
  std::vector<std::unique_ptr<ShardLink>> links_;
  std::shared_ptr<const Weights> weights_;  // Held now, whole; null before the first pull.

  // The work. At most one of the two runs.
  std::shared_ptr<LeaseRun> lease_;
  std::shared_ptr<EvalRun> evaluation_;
  v1::EvalLease eval_lease_;
  bool waiting_ = false;  // Asked for work, not answered.
  Instant asked_;
  std::optional<Instant> computed_;  // When the lanes had all leaves of the open lease.
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_TRAIN_LOOP_H_
