// The metrics of one process: created once from metric_table.h, handed out as handles. A lookup
// costs half a microsecond, a handle tens of nanoseconds: look up when a job starts, keep the
// handle. Hides prometheus-cpp. Thread-safe, handles too.

#ifndef DROVER_COMMON_METRICS_REGISTRY_H_
#define DROVER_COMMON_METRICS_REGISTRY_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/metrics/metric_table.h"

namespace drover {

enum class MetricRole { kCoordinator, kShard, kWorker };

inline constexpr size_t kMetricJobsMax = 200;
inline constexpr size_t kMetricSeriesMax = kMetricJobsMax * 128;  // Of one metric.

struct MetricSeries;

// Handles are cheap to copy and stay valid for ever: when the series has been removed (RemoveJob),
// or never existed because a limit was reached or the handle was not looked up, they do nothing.
class Counter {
 public:
  void Increment(double by = 1.0) const;  // Not negative.

 private:
  friend class MetricRegistry;
  std::shared_ptr<MetricSeries> series_;
};

class Gauge {
 public:
  void Set(double value) const;
  void Add(double by) const;

 private:
  friend class MetricRegistry;
  std::shared_ptr<MetricSeries> series_;
};

class Histogram {
 public:
  void Observe(double value) const;

 private:
  friend class MetricRegistry;
  std::shared_ptr<MetricSeries> series_;
};

// Upper bounds of the buckets, without infinity. Empty for kNone.
std::vector<double> BucketBounds(BucketSet set);

class MetricRegistry {
 public:
  // Creates the metrics that this role exports; series without open labels exist from now on.
  explicit MetricRegistry(MetricRole role);
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // The series with these label values, in the order of the table; made if it is new. Aborts when
  // the metric is not of this type or role, when values are missing, or when one is not in its
  // closed set: our own mistakes. Other values may come from outside: bytes that are not printable
  // ASCII become '?', long ones are cut.
  Counter CounterOf(Metric metric, const std::vector<std::string>& values = {});
  Gauge GaugeOf(Metric metric, const std::vector<std::string>& values = {});
  Histogram HistogramOf(Metric metric, const std::vector<std::string>& values = {});

  // Creates the counters and histograms of a job, and its gauges by state, at 0: all whose labels
  // are train_job, closed sets and `known` ones, such as {"shard", "1"}.
  void AddJob(const std::string& train_job, const std::map<std::string, std::string>& known = {});
  // Removes every series of the job.
  void RemoveJob(const std::string& train_job);

  // Called at the beginning of each Render, by its thread: for what is read from outside. Before
  // the registry is served; `read` may be called by several threads at once.
  void OnRender(std::function<void()> read);

  // Exposition text, https://prometheus.io/docs/instrumenting/exposition_formats/; process metrics
  // and the count of log messages are read now.
  std::string Render();

 private:
  struct State;
  std::shared_ptr<MetricSeries> SeriesOf(Metric metric, MetricType type,
                                         const std::vector<std::string>& values);
  const std::unique_ptr<State> state_;
};

}  // namespace drover

#endif  // DROVER_COMMON_METRICS_REGISTRY_H_
