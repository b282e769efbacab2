// The story of a worker: lease -> read -> forward -> backward -> sum -> push -> wait. One thread
// owns all state here and sleeps until the coordinator orders something or work, weights or shards
// have changed; lanes compute, links carry frames.
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

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/rpc/channel_security.h"
#include "proto/drover/v1/worker.pb.h"
#include "worker/comm/shard_set.h"
#include "worker/train/compute_device.h"
#include "worker/train/eval_run.h"
#include "worker/train/job_setup.h"
#include "worker/train/lane_pool.h"
#include "worker/train/lease_run.h"
#include "worker/train/worker_metrics.h"

namespace drover {

class TrainLoop {
 public:
  struct Options {
    std::string name;
    std::function<void(v1::WorkerMessage)> send;  // To the coordinator; never blocks.
    WorkerMetrics* metrics = nullptr;             // Not null; outlives this.
    DeviceChooser choose_device = OnlyCpu(1);
    // Opens the model's data; tests bring their own.
    std::function<Result<JobSetup>(const v1::JobSpec&)> set_up = SetUpJob;
    ChannelSecurity security = {};  // Of the links to shards.
  };

  explicit TrainLoop(Options options);
  ~TrainLoop();
  TrainLoop(const TrainLoop&) = delete;
  TrainLoop& operator=(const TrainLoop&) = delete;

  // From any thread. Blocks while many orders wait; does nothing once Run has returned.
  void OnOrder(v1::WorkerOrder order);
  // From any thread: Run returns when the leaves that were begun are counted, or the time of their
  // lease is up. The others go back.
  void Leave();

  // Until Leave. Once.
  void Run();

 private:
  // Each does what is due, if anything; Run goes around until there is no more.
  void HandleOrder(const v1::WorkerOrder& order);
  void FinishLease();
  void FinishEvaluation();
  void TakeWeights();
  void GiveUpOnForeignShards();
  void AskAgain();
  void LeaveWhenIdle();
  void Wake();  // From any thread: go around. Never blocks.

  // The job and its shards.
  void Assign(const v1::Assignment& assignment);
  Status OpenJob(const v1::Assignment& assignment);
  void RenewToken(const std::string& token);
  void OpenReduce();
  Status Connect();
  void Disconnect();  // From all shards; drops the open work.
  void DropJob();
  void Refuse(const v1::Assignment& assignment, const std::string& why);
  bool FenceHolds(uint64_t job, uint32_t epoch) const;

  // Weights and work.
  void Follow(int64_t version);
  void AskForWork();
  bool MayWorkOn(int64_t version) const;
  void StartLease(const v1::Lease& order);
  void StartEvaluation(const v1::EvalLease& order);
  void WorkBegins(int64_t timeout_ms);
  void GiveWorkBack();
  void DropWork();
  bool working() const { return lease_ != nullptr || evaluation_ != nullptr; }

  const Options options_;
  // Nothing: something else has changed, look for it.
  BoundedQueue<std::optional<v1::WorkerOrder>> events_;
  std::atomic<bool> leave_asked_{false};
  bool leaving_ = false;  // The coordinator has been told.
  bool left_ = false;

  // The job.
  std::optional<v1::Assignment> assignment_;
  JobSetup setup_;
  ComputeDevice device_;
  std::unique_ptr<LanePool> lanes_;
  std::shared_ptr<const Layout> layout_;
  std::shared_ptr<WeightsPool> weights_pool_;
  std::shared_ptr<ObjectPool<HostArray<float>>> floats_;
  std::shared_ptr<ObjectPool<SumBuffer>> sums_;
  std::shared_ptr<HostReduce> reduce_;  // Null: lanes are added up on the host.

  // Its shards, null until it is placed, and the weights held now, null before the first pull.
  std::shared_ptr<ShardSet> shards_;
  LeaseContext lease_context_;
  std::shared_ptr<const Weights> weights_;

  // The work: at most one of the two.
  std::shared_ptr<LeaseRun> lease_;
  std::shared_ptr<EvalRun> evaluation_;
  Instant work_deadline_;         // From then on others may have been given the same.
  Instant idle_since_;            // While there is no work.
  std::optional<Instant> asked_;  // For work, not answered.
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_TRAIN_LOOP_H_
