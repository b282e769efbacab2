#include "server/cli/live_block.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/quote.h"
#include "common/rpc/job_client.h"
#include "server/cli/format.h"

namespace drover {
namespace {

constexpr size_t kBarMin = 10;
constexpr size_t kBarMax = 40;
constexpr size_t kDigestDigits = 12;

// Of models that predict masked tokens, else nothing.
std::string MaskedText(const v1::EvalReport& eval) {
  if (eval.masked_tokens() == 0) return "";
  return fmt::format(" masked_loss={:.4f} masked_accuracy={:.4f}", eval.masked_loss(),
                     eval.masked_accuracy());
}

StyledLine HeadLine(const Progress& progress, const LiveContext& context, size_t width) {
  const v1::Job& job = progress.job();
  const std::string state = context.reconnecting ? "RECONNECTING" : StateName(job.state());
  const std::string steps = fmt::format("step {}/{}", job.step(), progress.steps());
  const std::string percent = fmt::format("{:3} %", static_cast<int>(progress.fraction() * 100.0));
  const std::optional<double> eta = progress.EtaSeconds();
  const std::string end =
      eta.has_value() && !HasEnded(job.state()) ? "  ETA " + FormatClock(*eta) : std::string();
  // Name, state, steps, bar with brackets, percent, each two spaces apart.
  const size_t fixed =
      2 + state.size() + 2 + steps.size() + 2 + 2 + 2 + percent.size() + end.size();
  const size_t left = width > fixed ? width - fixed : 0;
  const std::string name = Shorten(job.spec().name(), left > kBarMin + 4 ? left - kBarMin : 4);
  const size_t bar_width =
      std::clamp(left > name.size() ? left - name.size() : 0, kBarMin, kBarMax);
  const auto full = static_cast<size_t>(progress.fraction() * static_cast<double>(bar_width));
  StyledLine line;
  line.Add(name, Tone::kStrong).Add("  ");
  line.Add(state, context.reconnecting ? Tone::kWarning : ToneOf(job.state())).Add("  ");
  line.Add(steps).Add("  [", Tone::kPlain);
  line.Add(std::string(full, '#'), Tone::kGood).Add(std::string(bar_width - full, '.'), Tone::kDim);
  line.Add("]  ").Add(percent).Add(end);
  return line;
}

StyledLine LossLine(const Progress& progress) {
  const v1::StepReport& step = progress.job().last_step();
  StyledLine line;
  line.AddField("loss", fmt::format("{:.4g}", step.loss()));
  if (progress.job().has_last_eval()) {
    line.AddField("accuracy", FormatFraction(step.accuracy()));
    line.AddField("eval", FormatFraction(progress.job().last_eval().accuracy()), Tone::kStrong);
  } else {
    line.AddField("accuracy", FormatFraction(step.accuracy()));
  }
  line.AddField("lr", fmt::format("{:.3g}", step.learning_rate()));
  line.AddField("|g|", fmt::format("{:.3g}", step.gradient_norm()));
  if (progress.clipped_steps() > 0) {
    line.AddField("clipped", fmt::format("{}", progress.clipped_steps()));
  }
  if (progress.skipped_steps() > 0) {
    line.AddField("skipped", fmt::format("{}", progress.skipped_steps()), Tone::kWarning);
  }
  return line;
}

StyledLine RatioLine(const v1::StepReport& step) {
  StyledLine line;
  line.AddField("trust ratio min", fmt::format("{:.3g}", step.trust_ratio_min()));
  line.AddField("median", fmt::format("{:.3g}", step.trust_ratio_median()));
  line.AddField("max", fmt::format("{:.3g}", step.trust_ratio_max()));
  return line;
}

StyledLine ClusterLine(const Progress& progress, const LiveContext& context) {
  const v1::Job& job = progress.job();
  StyledLine line;
  const std::optional<double> speed = progress.SamplesPerSecond();
  line.Add(speed.has_value() ? FormatCompact(*speed) : "-", Tone::kStrong);
  line.Add(" samples/s", Tone::kDim);
  if (!HasEnded(job.state())) {
    line.AddField("workers", fmt::format("{}", job.workers()),
                  job.workers() == 0 ? Tone::kWarning : Tone::kPlain);
    if (job.workers_lost() > 0) {
      line.Add(fmt::format(" ({} lost)", job.workers_lost()), Tone::kWarning);
    }
    line.AddField("shards", fmt::format("{}", job.shards()));
  }
  if (progress.last_checkpoint_unix_ms() > 0) {
    const auto age_ms =
        static_cast<double>(context.now_unix_ms - progress.last_checkpoint_unix_ms());
    line.AddField("checkpoint", FormatAge(age_ms / 1000) + " ago");
  }
  if (!job.weights_digest().empty()) {
    line.AddField("weights", job.weights_digest().substr(0, kDigestDigits));
  }
  return line;
}

}  // namespace

Tone ToneOf(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_RUNNING:
    case v1::JOB_STATE_SUCCEEDED:
      return Tone::kGood;
    case v1::JOB_STATE_FAILED:
      return Tone::kBad;
    case v1::JOB_STATE_RECOVERING:
    case v1::JOB_STATE_SUSPENDING:
    case v1::JOB_STATE_SUSPENDED:
    case v1::JOB_STATE_CANCELLING:
    case v1::JOB_STATE_CANCELLED:
      return Tone::kWarning;
    default:
      return Tone::kPlain;
  }
}

std::vector<StyledLine> LiveBlockLines(const Progress& progress, const LiveContext& context,
                                       size_t width) {
  const v1::Job& job = progress.job();
  std::vector<StyledLine> lines = {HeadLine(progress, context, width)};
  if (job.has_last_step()) {
    lines.push_back(LossLine(progress));
    if (job.last_step().trust_ratio_max() > 0) lines.push_back(RatioLine(job.last_step()));
  } else if (!job.message().empty()) {
    lines.push_back(StyledLine().Add(job.message(), Tone::kDim));
  }
  lines.push_back(ClusterLine(progress, context));
  return lines;
}

std::string ProgressLine(const Progress& progress) {
  const v1::Job& job = progress.job();
  std::string line = fmt::format("job={} state={} step={} steps={}", job.spec().name(),
                                 StateName(job.state()), job.step(), progress.steps());
  if (job.has_last_step()) {
    const v1::StepReport& step = job.last_step();
    line += fmt::format(" loss={:.4g} accuracy={:.4g} learning_rate={:.4g}", step.loss(),
                        step.accuracy(), step.learning_rate());
  }
  const std::optional<double> speed = progress.SamplesPerSecond();
  if (speed.has_value()) line += fmt::format(" samples_per_second={:.0f}", *speed);
  const std::optional<double> eta = progress.EtaSeconds();
  if (eta.has_value() && !HasEnded(job.state())) line += fmt::format(" eta_s={:.0f}", *eta);
  line += fmt::format(" workers={} shards={}", job.workers(), job.shards());
  // Why nothing moves.
  if (job.state() != v1::JOB_STATE_RUNNING && !job.message().empty()) {
    line += " message=" + Quote(job.message());
  }
  return line;
}

std::string EventLine(const v1::JobEvent& event) {
  switch (event.kind_case()) {
    case v1::JobEvent::kStep:
      if (!event.step().skipped()) return "";
      return fmt::format("event=step_skipped step={} reason={}", event.step().step(),
                         Quote(event.step().skip_reason()));
    case v1::JobEvent::kEval:
      return fmt::format("event=evaluation step={} accuracy={:.4f} loss={:.4g} samples={}{}",
                         event.eval().version(), event.eval().accuracy(), event.eval().loss(),
                         event.eval().samples(), MaskedText(event.eval()));
    case v1::JobEvent::kState:
      return fmt::format("event=state state={}", StateName(event.state()));
    case v1::JobEvent::kCheckpoint:
      return fmt::format("event=checkpoint id={} step={} bytes={} weights={}",
                         event.checkpoint().id(), event.checkpoint().version(),
                         event.checkpoint().bytes(), event.checkpoint().weights_digest());
    case v1::JobEvent::kLog:
      if (event.log().level() != "warning" && event.log().level() != "error") return "";
      return fmt::format("event=log level={} task={} text={}", event.log().level(),
                         event.log().task(), Quote(event.log().text(), 1000));
    case v1::JobEvent::KIND_NOT_SET:
      return "";
  }
  return "";  // Not reached: the switch is complete.
}

}  // namespace drover
