// What the coordinator exports on /metrics, derived from the core's events and actions. Knows the
// metrics' names and nothing of HTTP. CoordinatorRuntime's thread only.

#ifndef DROVER_SERVER_COORDINATOR_COORDINATOR_METRICS_H_
#define DROVER_SERVER_COORDINATOR_COORDINATOR_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/metrics/registry.h"
#include "server/coordinator/coordinator_observer.h"
#include "server/coordinator/job_metrics.h"

namespace drover {

class CoordinatorMetrics final : public CoordinatorObserver {
 public:
  // How long the series of a job stay after its end, so that its last values are scraped.
  static constexpr std::chrono::minutes kKeepEnded{5};
  static constexpr std::chrono::seconds kGaugesEvery{1};
  // A worker that has not come back under its name counts as lost for so long.
  static constexpr std::chrono::minutes kRememberLost{5};

  // Both outlive this.
  CoordinatorMetrics(MetricRegistry* registry, const Clock* clock);

  void OnEvent(const CoordinatorEvent& event) override;
  void OnAction(const CoordinatorAction& action) override;
  void OnStoreWrite(StoreWrite kind, double seconds) override;
  void OnUnknownJob() override;
  void OnTick(const Coordinator& core) override;
  JobFigures FiguresOf(uint64_t job) const override;

 private:
  struct Series {
    std::unique_ptr<JobMetrics> metrics;  // Null before the job has left the queue.
    Instant added;
    bool waits = false;  // Its time in the queue is still to be observed.
    std::optional<Instant> ended;
  };
  struct EventVisitor;
  struct ActionVisitor;

  JobMetrics* Find(uint64_t job);
  void OnSave(const JobRecord& record);
  void OnState(const StateEvent& event);
  void SetGauges(const Coordinator& core);
  void SetWorkers(const Coordinator& core, uint64_t job, JobMetrics* metrics) const;
  JobMetrics::Members MembersOf(const Coordinator& core, uint64_t job) const;
  void SetShards(const Coordinator& core);
  void RemoveEnded(Instant now);

  MetricRegistry* const registry_;
  const Clock* const clock_;
  std::map<uint64_t, Series> jobs_;
  struct Worker {
    std::string name;
    std::string numeric_class;
    int64_t heard_unix_ms = 0;
    bool leaving = false;
    uint64_t job = 0;  // That it was assigned last.
  };
  struct LostWorker {
    Instant since;
    uint64_t job = 0;  // That it served.
  };
  std::map<SessionId, Worker> workers_;
  std::map<std::string, LostWorker> lost_;  // Workers that went without a word.
  std::map<SessionId, std::string> shards_;
  double commit_seconds_ = 0;  // Of the last write: its action follows.
  Instant next_gauges_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_COORDINATOR_METRICS_H_
