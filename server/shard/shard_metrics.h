// Every figure that a shard exports, in the words of its parts; names and labels are those of
// common/metrics/metric_table.h. Thread-safe.

#ifndef DROVER_SERVER_SHARD_SHARD_METRICS_H_
#define DROVER_SERVER_SHARD_SHARD_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/metrics/registry.h"
#include "common/rpc/frame_header.h"

namespace drover {

class ShardMetrics {
 public:
  // `registry` is of a shard and outlives this. `device`: ShardDevice::name() of what computes.
  explicit ShardMetrics(MetricRegistry* registry, const std::string& device = "cpu");
  ~ShardMetrics();

  // The job that all of the rest is about, and this shard's index in it. Another job's series go.
  void SetJob(uint64_t job, uint32_t shard_index, uint64_t parameters);
  void ClearJob();
  // A step is open that takes this many leaves of chunks; 0: all it needs are there.
  void OpenStep(uint64_t leaf_chunks);
  void SetVersion(int64_t version);
  void SetStateBytes(size_t bytes);  // Weights, slots and accumulator.

  // A frame that waits for its chunk, or is being added, for as long as this lives.
  class Pending;
  Pending ChunkArrives(const FrameHeader& header);
  // A kGradient frame after the accumulator has judged it.
  void CountGradient(const FrameHeader& header, Verdict verdict, Duration duration);
  // The gradient of two workers for the same leaves and chunk was compared.
  void CountAudit(bool equal);
  // A kStats frame that the accumulator has refused.
  void CountRefusal(Verdict verdict);
  // A message that is no frame, or a frame that has no place where it came.
  void CountMalformed(Code code);
  void CountWeightsSent(uint64_t bytes, bool bf16);
  void CountRedo(uint64_t bytes, Duration duration);
  void ObserveMeasure(Duration duration);
  void ObserveApply(Duration duration);
  void ObservePublish(Duration duration);
  void ObserveRestore(const std::string& source, Duration duration);

 private:
  struct JobFigures;
  std::shared_ptr<JobFigures> Figures() const DROVER_EXCLUDES(mutex_);
  void Swap(std::shared_ptr<JobFigures> figures) DROVER_EXCLUDES(mutex_);

  MetricRegistry* const registry_;
  const std::string device_;
  const Histogram measure_duration_;
  const Histogram apply_duration_;

  mutable Mutex mutex_;
  std::shared_ptr<JobFigures> figures_ DROVER_GUARDED_BY(mutex_);  // Never null.
};

class ShardMetrics::Pending {
 public:
  Pending(std::shared_ptr<JobFigures> figures, double bytes);
  ~Pending();
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  const std::shared_ptr<JobFigures> figures_;  // Of the job that was there when it arrived.
  const double bytes_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_METRICS_H_
