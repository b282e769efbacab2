// What a worker alone knows and exports: samples, bytes and the phases of a lease. Names and labels
// are those of common/metrics/metric_table.h. Not thread-safe: the training loop owns it.

#ifndef DROVER_WORKER_TRAIN_WORKER_METRICS_H_
#define DROVER_WORKER_TRAIN_WORKER_METRICS_H_

#include <cstdint>
#include <string>

#include "common/base/clock.h"
#include "common/metrics/registry.h"

namespace drover {

class WorkerMetrics {
 public:
  // `registry` is of a worker and outlives this. `worker`: name.
  WorkerMetrics(MetricRegistry* registry, const std::string& worker);

  // The job that all of the rest is about; another job's series go.
  void SetJob(uint64_t job);
  void ClearJob();

  // A lease that every shard has acknowledged: `elements` is the length of the parameter space.
  void CountLease(int64_t samples, uint64_t elements, bool single_leaf);
  void CountWeights(uint64_t elements);  // A version that has arrived whole.
  void ObservePush(Duration duration);   // From the last computed leaf to the last acknowledgement.
  void ObserveIdle(Duration duration);   // From asking for work to getting some.

 private:
  MetricRegistry* const registry_;
  const std::string worker_;
  std::string train_job_;  // Empty: none.
  Counter samples_;
  Counter gradient_payload_;
  Counter gradient_wire_f32_;
  Counter gradient_wire_i64_;
  Counter weight_payload_;
  Counter weight_wire_;
  Histogram push_;
  Histogram idle_;
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_WORKER_METRICS_H_
