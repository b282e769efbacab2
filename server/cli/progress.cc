#include "server/cli/progress.h"

#include <algorithm>
#include <vector>

namespace drover {

Progress::Progress(const v1::Job& job) : job_(job) {}

void Progress::Update(const v1::Job& job) { job_ = job; }

void Progress::Apply(const v1::JobEvent& event) {
  last_sequence_ = std::max(last_sequence_, event.sequence());
  switch (event.kind_case()) {
    case v1::JobEvent::kStep:
      *job_.mutable_last_step() = event.step();
      job_.set_step(std::max(job_.step(), event.step().step() + 1));
      recent_steps_.push_back(event.step());
      if (recent_steps_.size() > kEtaStepTimes) recent_steps_.pop_front();
      if (event.step().skipped()) ++skipped_steps_;
      // 0 stands for a report without the field.
      if (event.step().clip_factor() > 0 && event.step().clip_factor() < 1) ++clipped_steps_;
      break;
    case v1::JobEvent::kEval:
      *job_.mutable_last_eval() = event.eval();
      break;
    case v1::JobEvent::kState:
      job_.set_state(event.state());
      break;
    case v1::JobEvent::kCheckpoint:
      last_checkpoint_unix_ms_ = event.checkpoint().create_time_unix_ms();
      job_.set_weights_digest(event.checkpoint().weights_digest());
      job_.set_weights_digest_step(event.checkpoint().version());
      break;
    case v1::JobEvent::kLog:
    case v1::JobEvent::KIND_NOT_SET:
      break;
  }
  if (event.has_job()) job_ = event.job();
}

double Progress::fraction() const {
  if (steps() <= 0) return 0;
  return std::clamp(static_cast<double>(job_.step()) / static_cast<double>(steps()), 0.0, 1.0);
}

std::optional<double> Progress::EtaSeconds() const {
  if (recent_steps_.size() < kEtaStepsMin) return std::nullopt;
  std::vector<double> seconds;
  for (const v1::StepReport& step : recent_steps_) seconds.push_back(step.seconds());
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle * static_cast<double>(std::max<int64_t>(0, steps() - job_.step()));
}

std::optional<double> Progress::SamplesPerSecond() const {
  double seconds = 0;
  int64_t samples = 0;
  const size_t count = std::min(kSpeedSteps, recent_steps_.size());
  for (size_t i = recent_steps_.size() - count; i < recent_steps_.size(); ++i) {
    seconds += recent_steps_[i].seconds();
    samples += recent_steps_[i].samples();
  }
  if (seconds <= 0) return std::nullopt;
  return static_cast<double>(samples) / seconds;
}

}  // namespace drover
