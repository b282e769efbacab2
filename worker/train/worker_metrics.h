// What a worker alone knows and exports: samples computed and phases of a leaf. Thread-safe.

#ifndef DROVER_WORKER_TRAIN_WORKER_METRICS_H_
#define DROVER_WORKER_TRAIN_WORKER_METRICS_H_

#include <cstdint>

namespace drover {

class WorkerMetrics {
 public:
  virtual ~WorkerMetrics() = default;
  virtual void OnLeaseDone(int64_t samples, double seconds) = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_WORKER_METRICS_H_
