// Every figure that a worker exports, in the words of its parts; names and labels are those of
// common/metrics/metric_table.h. Counting is thread-safe; SetJob and ClearJob are for when no lane
// and no link of a job runs.

#ifndef DROVER_WORKER_TRAIN_WORKER_METRICS_H_
#define DROVER_WORKER_TRAIN_WORKER_METRICS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/metrics/registry.h"
#include "common/rpc/frame_header.h"
#include "worker/train/leaf_runner.h"

namespace drover {

// Bytes; used by all programs, reserved by this one.
struct DeviceMemory {
  std::string device;  // "cuda:0"
  int64_t used = 0;
  int64_t reserved = 0;
  int64_t total = 0;
};

class WorkerMetrics {
 public:
  // `registry` is of a worker and not served yet; it outlives this, and renders nothing once this
  // is gone. `worker`: its name.
  WorkerMetrics(MetricRegistry* registry, std::string worker);

  // The job that all of the rest is about. `lanes`: how many compute side by side.
  void SetJob(uint64_t job, uint32_t lanes);
  void ClearJob();  // Its series go. Repeatable.
  // Where the job is computed: "cpu" or "cuda", operations per second or 0, and who is asked at
  // each scrape from now on; empty: who was before, so that no figure goes stale.
  void SetDevice(const std::string& kind, double peak_flops,
                 std::function<std::vector<DeviceMemory>()> read_memory) DROVER_EXCLUDES(mutex_);

  // A lane has computed a leaf. `sample_flops`: operations that the model asks for per sample.
  void CountLeaf(int64_t samples, double sample_flops, const LeafTimes& times);
  // Frames that crossed the network; other than gradients and weights are not counted.
  void CountSent(const FrameHeader& header);
  void CountReceived(const FrameHeader& header);

  // A stream to a shard, or the one to the coordinator, is dialled again.
  void CountLinkRetry() { link_retries_.Increment(); }
  void CountSessionRetry() { session_retries_.Increment(); }

  // From the last leaf of a lease until every shard has acknowledged it: what was not hidden behind
  // the computation.
  void ObservePush(Duration duration) { figures_.push.Observe(Seconds(duration)); }
  // From the first chunk of a version to its last.
  void ObservePull(Duration duration) { figures_.pull.Observe(Seconds(duration)); }
  // What the GPUs of the host did together. While the job is set.
  void ObserveReduceScatter(Duration duration) {
    figures_.reduce_scatter.Observe(Seconds(duration));
  }
  void ObserveAllGather(Duration duration) { figures_.all_gather.Observe(Seconds(duration)); }
  // Between two leases; waiting for a version is in it.
  void ObserveIdle(Duration duration) { figures_.idle.Observe(Seconds(duration)); }

 private:
  // Handles of one job. Those that were never looked up do nothing.
  struct Figures {
    Counter samples;
    Counter flops;
    Counter data_stall;
    Histogram data;
    Histogram forward;
    Histogram backward;
    Histogram reduce;
    Histogram encode;
    Histogram push;
    Histogram pull;
    Histogram idle;
    Histogram reduce_scatter;
    Histogram all_gather;
    Counter gradient_payload;
    Counter gradient_wire_f32;
    Counter gradient_wire_i64;
    Counter weight_payload;
    Counter weight_wire_f32;
    Counter weight_wire_bf16;
  };

  void ReadMemory() DROVER_EXCLUDES(mutex_);

  MetricRegistry* const registry_;
  const std::string worker_;
  const Counter link_retries_;
  const Counter session_retries_;
  std::string train_job_;  // Empty: none.
  double lanes_ = 1;
  Figures figures_;

  Mutex mutex_;
  std::function<std::vector<DeviceMemory>()> read_memory_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_WORKER_METRICS_H_
