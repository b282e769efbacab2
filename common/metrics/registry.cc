#include "common/metrics/registry.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/metrics/process_stats.h"

namespace drover {

// One of the three pointers is set until the series is removed. The lock keeps an update from
// meeting a removal.
struct MetricSeries {
  Mutex mutex;
  prometheus::Counter* counter DROVER_GUARDED_BY(mutex) = nullptr;
  prometheus::Gauge* gauge DROVER_GUARDED_BY(mutex) = nullptr;
  prometheus::Histogram* histogram DROVER_GUARDED_BY(mutex) = nullptr;
};

void Counter::Increment(double by) const {
  if (series_ == nullptr) return;
  MutexLock lock(&series_->mutex);
  if (series_->counter != nullptr) series_->counter->Increment(by);
}

void Gauge::Set(double value) const {
  if (series_ == nullptr) return;
  MutexLock lock(&series_->mutex);
  if (series_->gauge != nullptr) series_->gauge->Set(value);
}

void Gauge::Add(double by) const {
  if (series_ == nullptr) return;
  MutexLock lock(&series_->mutex);
  if (series_->gauge != nullptr) series_->gauge->Increment(by);
}

void Histogram::Observe(double value) const {
  if (series_ == nullptr) return;
  MutexLock lock(&series_->mutex);
  if (series_->histogram != nullptr) series_->histogram->Observe(value);
}

std::vector<double> BucketBounds(BucketSet set) {
  std::vector<double> bounds;
  switch (set) {
    case BucketSet::kNone:
      break;
    case BucketSet::kLatency:
      for (int k = 0; k <= 17; ++k) bounds.push_back(std::ldexp(0.0005, k));
      break;
    case BucketSet::kStep:
      bounds = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 600};
      break;
    case BucketSet::kWait:
      bounds = {1, 5, 15, 60, 300, 900, 3600, 14400, 86400};
      break;
    case BucketSet::kRatio:
      for (int k = -10; k <= 7; ++k) bounds.push_back(std::ldexp(1.0, k));
      break;
    case BucketSet::kLeaves:
      for (int k = 0; k <= 6; ++k) bounds.push_back(std::ldexp(1.0, k));
      break;
  }
  return bounds;
}

namespace {

constexpr std::string_view kJobLabel = "train_job";
constexpr size_t kLabelBytesMax = 200;

struct LabelSpec {
  std::string name;
  std::vector<std::string> closed;  // Empty: any value.
};

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::vector<LabelSpec> ParseLabels(const char* labels) {
  std::vector<LabelSpec> specs;
  for (const std::string& label : Split(labels, ',')) {
    const size_t equals = label.find('=');
    LabelSpec spec;
    spec.name = label.substr(0, equals);
    if (equals != std::string::npos) spec.closed = Split(label.substr(equals + 1), '|');
    specs.push_back(std::move(spec));
  }
  return specs;
}

const char* NameOf(MetricRole role) {
  switch (role) {
    case MetricRole::kCoordinator:
      return "coordinator";
    case MetricRole::kShard:
      return "shard";
    case MetricRole::kWorker:
      return "worker";
  }
  return "";
}

bool IsExportedBy(const MetricRow& row, MetricRole role) {
  const std::vector<std::string> roles = Split(row.roles, ',');
  return std::any_of(roles.begin(), roles.end(), [role](const std::string& name) {
    return name == "all" || name == NameOf(role);
  });
}

std::string Printable(std::string value) {
  value.resize(std::min(value.size(), kLabelBytesMax));
  std::replace_if(
      value.begin(), value.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return value;
}

// A metric with its series by label values. Exactly one family pointer is set.
struct MetricFamily {
  const MetricRow* row = nullptr;
  std::vector<LabelSpec> labels;
  prometheus::Family<prometheus::Counter>* counter = nullptr;
  prometheus::Family<prometheus::Gauge>* gauge = nullptr;
  prometheus::Family<prometheus::Histogram>* histogram = nullptr;
  std::map<std::vector<std::string>, std::shared_ptr<MetricSeries>> series;
};

void CreateFamily(const MetricRow& row, prometheus::Registry* registry, MetricFamily* family) {
  family->row = &row;
  family->labels = ParseLabels(row.labels);
  switch (row.type) {
    case MetricType::kCounter:
      family->counter =
          &prometheus::BuildCounter().Name(row.name).Help(row.help).Register(*registry);
      break;
    case MetricType::kGauge:
      family->gauge = &prometheus::BuildGauge().Name(row.name).Help(row.help).Register(*registry);
      break;
    case MetricType::kHistogram:
      family->histogram =
          &prometheus::BuildHistogram().Name(row.name).Help(row.help).Register(*registry);
      break;
  }
}

std::shared_ptr<MetricSeries> CreateSeries(MetricFamily* family,
                                           const std::vector<std::string>& values) {
  prometheus::Labels labels;
  for (size_t i = 0; i < values.size(); ++i) labels[family->labels[i].name] = values[i];
  auto series = std::make_shared<MetricSeries>();
  MutexLock lock(&series->mutex);
  if (family->counter != nullptr) series->counter = &family->counter->Add(labels);
  if (family->gauge != nullptr) series->gauge = &family->gauge->Add(labels);
  if (family->histogram != nullptr) {
    series->histogram = &family->histogram->Add(labels, BucketBounds(family->row->buckets));
  }
  return series;
}

void RemoveSeries(MetricFamily* family, MetricSeries* series) {
  MutexLock lock(&series->mutex);
  if (family->counter != nullptr) family->counter->Remove(series->counter);
  if (family->gauge != nullptr) family->gauge->Remove(series->gauge);
  if (family->histogram != nullptr) family->histogram->Remove(series->histogram);
  series->counter = nullptr;
  series->gauge = nullptr;
  series->histogram = nullptr;
}

// Every list of label values that the closed sets and `known` values allow; empty when a label is
// open and not known.
std::vector<std::vector<std::string>> Combinations(
    const std::vector<LabelSpec>& labels, const std::map<std::string, std::string>& known) {
  std::vector<std::vector<std::string>> lists = {{}};
  for (const LabelSpec& label : labels) {
    std::vector<std::string> choices = label.closed;
    if (const auto value = known.find(label.name); value != known.end()) choices = {value->second};
    std::vector<std::vector<std::string>> longer;
    for (const std::vector<std::string>& list : lists) {
      for (const std::string& choice : choices) {
        longer.push_back(list);
        longer.back().push_back(choice);
      }
    }
    lists = std::move(longer);
  }
  return lists;
}

bool HasLabel(const MetricFamily& family, std::string_view name) {
  return std::any_of(family.labels.begin(), family.labels.end(),
                     [name](const LabelSpec& label) { return label.name == name; });
}

// A gauge at 0 would claim a loss or a time that nobody has measured; one that counts things by
// state claims that there are none.
bool StartsAtZero(const MetricFamily& family) {
  return family.row->type != MetricType::kGauge || HasLabel(family, "state");
}

}  // namespace

struct MetricRegistry::State {
  Mutex mutex;
  prometheus::Registry registry DROVER_GUARDED_BY(mutex);
  // Without row: not exported by this role.
  std::array<MetricFamily, kMetricTable.size()> families DROVER_GUARDED_BY(mutex);
  std::set<std::string> jobs DROVER_GUARDED_BY(mutex);
  double reported_cpu_seconds DROVER_GUARDED_BY(mutex) = 0.0;
  std::array<long, 4> reported_log_messages DROVER_GUARDED_BY(mutex) = {};
  std::vector<std::function<void()>> read_outside;  // Fixed before the registry is served.

  bool Admit(const MetricFamily& family, const std::vector<std::string>& values)
      DROVER_REQUIRES(mutex) {
    if (family.series.size() >= kMetricSeriesMax) return false;
    for (size_t i = 0; i < values.size(); ++i) {
      if (family.labels[i].name != kJobLabel || jobs.contains(values[i])) continue;
      if (jobs.size() >= kMetricJobsMax) return false;
      jobs.insert(values[i]);
    }
    return true;
  }

  std::shared_ptr<MetricSeries> Find(Metric metric, std::vector<std::string> values)
      DROVER_REQUIRES(mutex) {
    MetricFamily& family = families[static_cast<size_t>(metric)];
    DROVER_CHECK(family.row != nullptr);
    DROVER_CHECK(values.size() == family.labels.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const std::vector<std::string>& closed = family.labels[i].closed;
      DROVER_CHECK(closed.empty() ||
                   std::find(closed.begin(), closed.end(), values[i]) != closed.end());
      values[i] = Printable(std::move(values[i]));
    }
    if (const auto found = family.series.find(values); found != family.series.end()) {
      return found->second;
    }
    if (!Admit(family, values)) return nullptr;
    try {
      std::shared_ptr<MetricSeries> series = CreateSeries(&family, values);
      family.series.emplace(std::move(values), series);
      return series;
    } catch (const std::exception& error) {
      LogError("metric {}: {}", family.row->name, error.what());
      return nullptr;
    }
  }

  void CreateKnown(bool of_jobs, const std::map<std::string, std::string>& known)
      DROVER_REQUIRES(mutex) {
    for (const MetricFamily& family : families) {
      if (family.row == nullptr || HasLabel(family, kJobLabel) != of_jobs) continue;
      if (!StartsAtZero(family)) continue;
      for (std::vector<std::string>& values : Combinations(family.labels, known)) {
        Find(family.row->metric, std::move(values));
      }
    }
  }
};

MetricRegistry::MetricRegistry(MetricRole role) : state_(std::make_unique<State>()) {
  MutexLock lock(&state_->mutex);
  for (const MetricRow& row : kMetricTable) {
    if (!IsExportedBy(row, role)) continue;
    CreateFamily(row, &state_->registry, &state_->families[static_cast<size_t>(row.metric)]);
  }
  state_->CreateKnown(/*of_jobs=*/false, {});
}

MetricRegistry::~MetricRegistry() {
  MutexLock lock(&state_->mutex);
  // Handles outlive the registry; what they point to does not.
  for (MetricFamily& family : state_->families) {
    for (auto& [values, series] : family.series) RemoveSeries(&family, series.get());
  }
}

std::shared_ptr<MetricSeries> MetricRegistry::SeriesOf(Metric metric, MetricType type,
                                                       const std::vector<std::string>& values) {
  DROVER_CHECK(RowOf(metric).type == type);
  MutexLock lock(&state_->mutex);
  return state_->Find(metric, values);
}

Counter MetricRegistry::CounterOf(Metric metric, const std::vector<std::string>& values) {
  Counter handle;
  handle.series_ = SeriesOf(metric, MetricType::kCounter, values);
  return handle;
}

Gauge MetricRegistry::GaugeOf(Metric metric, const std::vector<std::string>& values) {
  Gauge handle;
  handle.series_ = SeriesOf(metric, MetricType::kGauge, values);
  return handle;
}

Histogram MetricRegistry::HistogramOf(Metric metric, const std::vector<std::string>& values) {
  Histogram handle;
  handle.series_ = SeriesOf(metric, MetricType::kHistogram, values);
  return handle;
}

void MetricRegistry::AddJob(const std::string& train_job,
                            const std::map<std::string, std::string>& known) {
  std::map<std::string, std::string> all = known;
  all[std::string(kJobLabel)] = train_job;
  MutexLock lock(&state_->mutex);
  state_->CreateKnown(/*of_jobs=*/true, all);
}

void MetricRegistry::RemoveJob(const std::string& train_job) {
  const std::string job = Printable(train_job);
  MutexLock lock(&state_->mutex);
  state_->jobs.erase(job);
  for (MetricFamily& family : state_->families) {
    for (size_t i = 0; i < family.labels.size(); ++i) {
      if (family.labels[i].name != kJobLabel) continue;
      std::erase_if(family.series, [&family, &job, i](auto& entry) {
        if (entry.first[i] != job) return false;
        RemoveSeries(&family, entry.second.get());
        return true;
      });
    }
  }
}

void MetricRegistry::OnRender(std::function<void()> read) {
  state_->read_outside.push_back(std::move(read));
}

std::string MetricRegistry::Render() {
  for (const std::function<void()>& read : state_->read_outside) read();
  const ProcessStats process = ReadProcessStats();
  GaugeOf(Metric::kProcessResidentMemoryBytes).Set(process.resident_bytes);
  GaugeOf(Metric::kProcessOpenFds).Set(process.open_fds);
  GaugeOf(Metric::kProcessMaxFds).Set(process.max_fds);
  GaugeOf(Metric::kProcessThreads).Set(process.threads);
  GaugeOf(Metric::kProcessStartTimeSeconds).Set(process.start_time_unix_seconds);
  const Counter cpu = CounterOf(Metric::kProcessCpuSecondsTotal);
  constexpr std::array<std::pair<LogLevel, const char*>, 4> kLevels = {
      {{LogLevel::kDebug, "debug"},
       {LogLevel::kInfo, "info"},
       {LogLevel::kWarning, "warning"},
       {LogLevel::kError, "error"}}};
  std::array<Counter, kLevels.size()> messages;
  for (size_t i = 0; i < kLevels.size(); ++i) {
    messages[i] = CounterOf(Metric::kLogMessagesTotal, {kLevels[i].second});
  }

  MutexLock lock(&state_->mutex);
  // Two scrapes at once read in one order and arrive here in another: only ever count up.
  cpu.Increment(std::max(0.0, process.cpu_seconds - state_->reported_cpu_seconds));
  state_->reported_cpu_seconds = std::max(state_->reported_cpu_seconds, process.cpu_seconds);
  for (size_t i = 0; i < kLevels.size(); ++i) {
    const long count = LoggedCount(kLevels[i].first);
    messages[i].Increment(static_cast<double>(count - state_->reported_log_messages[i]));
    state_->reported_log_messages[i] = count;
  }
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace drover
