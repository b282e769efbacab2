#include "server/cli/schedule_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "server/cli/format.h"
#include "server/cli/styled_line.h"
#include "server/spec.h"

namespace drover {
namespace {

const char* DecayName(Decay decay) {
  switch (decay) {
    case Decay::kConstant:
      return "constant";
    case Decay::kPolynomial:
      return "polynomial";
    case Decay::kCosine:
      return "cosine";
    case Decay::kStep:
      return "step";
    case Decay::kExponential:
      return "exponential";
    case Decay::kInverseTime:
      return "inverse_time";
    case Decay::kInverseSqrt:
      return "inverse_sqrt";
    case Decay::kPlateau:
      return "plateau";
  }
  return "unknown";
}

// Steps of the phase, from 0.
std::string RateAt(const PhasePlan& phase, int64_t warmup_end, int64_t step) {
  const Schedule& schedule = phase.schedule;
  const bool unknown = schedule.decay == Decay::kPlateau || schedule.every_passes > 0;
  if (unknown && step > warmup_end) return "-";
  return fmt::format("{:.4g} @ {}", LearningRate(schedule, {.step = step}),
                     phase.first_step + step);
}

}  // namespace

std::string ScheduleTable(const v1::JobSpec& spec, bool color) {
  const Result<JobPlan> plan = PlanJob(spec);
  if (!plan.ok()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"PHASE", "STEPS", "BATCH", "LEAVES", "DECAY", "FIRST", "WARM", "MIDDLE", "LAST"}};
  for (const PhasePlan& phase : plan.value().phases) {
    const Schedule& schedule = phase.schedule;
    const int64_t last = phase.steps - 1;
    const int64_t warm =
        std::clamp<int64_t>(schedule.start_warmup_step + schedule.warmup_steps - 1, 0, last);
    rows.push_back({fmt::format("{}", rows.size()),
                    fmt::format("{}..{}", phase.first_step, phase.first_step + last),
                    FormatThousands(phase.batch), fmt::format("{}", phase.leaves),
                    DecayName(schedule.decay), RateAt(phase, warm, 0), RateAt(phase, warm, warm),
                    RateAt(phase, warm, warm + (last - warm + 1) / 2), RateAt(phase, warm, last)});
  }
  return FormatTable(rows, color);
}

int64_t SamplesOf(const v1::JobSpec& spec, int64_t steps) {
  const Result<JobPlan> plan = PlanJob(spec);
  return plan.ok() ? plan.value().SamplesBefore(steps) : 0;
}

}  // namespace drover
