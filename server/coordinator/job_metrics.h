// The series of one job in /metrics, from what the core says about it. Every value of a step comes
// from its commit, so that nothing is counted twice. One thread.

#ifndef DROVER_SERVER_COORDINATOR_JOB_METRICS_H_
#define DROVER_SERVER_COORDINATOR_JOB_METRICS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/metrics/registry.h"
#include "server/coordinator/coordinator_events.h"
#include "server/coordinator/coordinator_observer.h"
#include "server/coordinator/job.h"

namespace drover {

class JobMetrics {
 public:
  // Tensors that get series of their own: the largest ones.
  static constexpr size_t kTensorsMax = 128;

  // Creates the job's series at 0; they go with this object. The registry outlives it.
  JobMetrics(MetricRegistry* registry, const JobRecord& record, int64_t unix_ms);
  ~JobMetrics();
  JobMetrics(const JobMetrics&) = delete;
  JobMetrics& operator=(const JobMetrics&) = delete;

  void OnSave(const JobRecord& record);
  void OnCommit(const SaveCommit& commit, int64_t unix_ms);
  void OnEval(const EvalSummary& summary);
  void OnCheckpoint(const CheckpointRecord& checkpoint, int64_t unix_ms, Instant now);
  void OnCount(const CountEvent& event);
  void OnNonfinite(const std::string& worker);
  void OnWorker(const std::string& worker, const std::string& numeric_class);
  void OnLeaseDone(const std::string& worker, int64_t step, Instant now);
  // The phases of a step after its decision, and of a checkpoint.
  void OnCommitWritten(double seconds, Instant now);
  void OnApplied(Instant now);
  void OnCheckpointOrdered(int64_t version, Instant now);
  void OnCheckpointParts(Instant now);
  void OnCheckpointVerified(double seconds);  // Before OnCheckpoint.

  // Now and then: who serves the job.
  struct Members {
    size_t active = 0;
    size_t joining = 0;
    size_t draining = 0;
    size_t lost = 0;  // Not long ago.
    size_t leases = 0;
    size_t leases_overdue = 0;
  };
  void SetMembers(const Members& members);
  CoordinatorObserver::JobFigures Figures() const { return {step_seconds_, lateness_seconds_}; }
  void SetLag(const std::string& worker, int64_t steps);
  void SetLastSeen(const std::string& worker, int64_t unix_ms);

 private:
  struct TensorSeries {
    size_t index;  // In the layout.
    Gauge gradient;
    Gauge weight;
    Gauge direction;
    Gauge ratio;
  };

  Counter CounterOf(Metric metric) { return registry_->CounterOf(metric, {train_job_}); }
  Counter CounterOf(Metric metric, const char* label) {
    return registry_->CounterOf(metric, {train_job_, label});
  }
  void Set(Metric metric, double value) { registry_->GaugeOf(metric, {train_job_}).Set(value); }
  void Describe(const JobRecord& record);
  void ChooseTensors(const Layout& layout);
  void SetProgress(const JobRecord& record);
  void SetStep(const StepSummary& summary);
  void SetTensors(const StepSummary& summary);
  void SetLateness();
  void ObservePhase(Metric metric, const char* phase, Duration duration);

  MetricRegistry* const registry_;
  const std::string train_job_;
  bool described_ = false;
  double step_seconds_ = 0;  // Smoothed, for the expected end.
  std::vector<TensorSeries> tensors_;
  int64_t version_ = 0;
  std::map<std::string, std::string> worker_classes_;
  // The last result of each worker with a lease, in the open step and in the one before: a step
  // may be committed before the coordinator hears of its last results.
  std::map<std::string, Instant> done_;
  std::map<std::string, Instant> done_before_;
  std::map<std::string, Gauge> lateness_;           // Of all workers that ever had one.
  std::map<std::string, double> lateness_seconds_;  // Of those of the last step.
  std::optional<Instant> committed_;                // Until all shards have applied it.
  std::optional<Instant> checkpoint_ordered_;
  std::optional<Instant> checkpoint_parts_;
  int64_t checkpoint_version_ = -1;
  double verify_seconds_ = 0;  // Of the last one.

  // Looked up once: used at every step or lease.
  const Counter samples_;
  const Counter tokens_;
  const Counter steps_;
  const Counter leaves_;
  const Histogram step_duration_;
  // Else the second norm of a trust ratio is that of the gradient.
  const bool measures_update_;
  const Histogram trust_ratio_;
  const Histogram lease_duration_;
  const Histogram lease_leaves_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_METRICS_H_
