#include "server/coordinator/status_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace drover {
namespace {

constexpr int64_t kEventsPerPoll = 1000;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

StatusStep StepOf(const v1::StepReport& report) {
  return {report.step(),
          report.loss(),
          report.accuracy(),
          report.learning_rate(),
          report.gradient_norm(),
          report.samples_per_second(),
          report.trust_ratio_min(),
          report.trust_ratio_median(),
          report.trust_ratio_max(),
          report.has_gradient_noise_scale() ? report.gradient_noise_scale() : kUnknown};
}

// What an event says to people; empty text: nothing.
StatusLine LineOf(const v1::JobEvent& event) {
  StatusLine line = {event.time_unix_ms(), "info", "coordinator", ""};
  switch (event.kind_case()) {
    case v1::JobEvent::kLog:
      line.level = event.log().level();
      line.task = event.log().task();
      line.text = event.log().text();
      break;
    case v1::JobEvent::kState:
      line.text = fmt::format("the job is {}", JobStateName(static_cast<JobState>(event.state())));
      break;
    case v1::JobEvent::kCheckpoint:
      line.text = fmt::format("checkpoint of step {}, {} bytes, weights {:.12}",
                              event.checkpoint().version(), event.checkpoint().bytes(),
                              event.checkpoint().weights_digest());
      break;
    case v1::JobEvent::kEval:
      line.text = fmt::format("evaluation of step {}: loss {:.4g}, accuracy {:.4g}",
                              event.eval().version(), event.eval().loss(), event.eval().accuracy());
      break;
    case v1::JobEvent::kStep:
      if (!event.step().skipped()) break;
      line.level = "warning";
      line.text =
          fmt::format("step {} skipped: {}", event.step().step(), event.step().skip_reason());
      break;
    case v1::JobEvent::KIND_NOT_SET:
      break;
  }
  return line;
}

}  // namespace

void StatusHistory::Past::Add(const v1::JobEvent& event) {
  if (event.sequence() <= last_sequence) return;  // Another reader was faster.
  last_sequence = event.sequence();
  StatusLine line = LineOf(event);
  if (line.text.empty()) return;
  lines.push_back(std::move(line));
  if (lines.size() > kLinesMax) lines.pop_front();
}

int64_t StatusHistory::LastSequence(const std::string& id) {
  MutexLock lock(&mutex_);
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? 0 : found->second.last_sequence;
}

void StatusHistory::Add(const std::string& id, const std::vector<v1::JobEvent>& events) {
  MutexLock lock(&mutex_);
  Past& past = jobs_[id];
  past.used = ++uses_;
  for (const v1::JobEvent& event : events) past.Add(event);
  if (jobs_.size() <= kJobsMax) return;
  jobs_.erase(std::min_element(jobs_.begin(), jobs_.end(), [](const auto& a, const auto& b) {
    return a.second.used < b.second.used;
  }));
}

Status StatusHistory::ReadLines(const std::string& id, StatusFacts* facts) {
  // No lock while reading: the same events may be read twice, and count once.
  for (int64_t after = LastSequence(id);;) {
    const Result<std::vector<v1::JobEvent>> events = desk_->ReadEvents(id, after, kEventsPerPoll);
    if (!events.ok()) return events.status();
    Add(id, events.value());
    if (std::cmp_less(events.value().size(), kEventsPerPoll)) break;
    after = events.value().back().sequence();
  }
  MutexLock lock(&mutex_);
  const Past& past = jobs_[id];
  facts->lines.assign(past.lines.begin(), past.lines.end());
  return Status();
}

Status StatusHistory::Read(const std::string& id, StatusFacts* facts) {
  const Result<JobDesk::History> history = desk_->ReadMetricsPoints(id, kPoints);
  if (!history.ok()) return history.status();
  for (const v1::StepReport& report : history.value().steps) {
    if (!report.skipped()) facts->steps.push_back(StepOf(report));
  }
  for (const v1::EvalReport& report : history.value().evaluations) {
    facts->evals.push_back({report.version(), report.loss(), report.accuracy()});
  }
  return ReadLines(id, facts);
}

}  // namespace drover
