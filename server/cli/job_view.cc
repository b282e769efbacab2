#include "server/cli/job_view.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "server/cli/format.h"
#include "server/cli/live_block.h"
#include "server/cli/schedule_view.h"
#include "server/cli/styled_line.h"

namespace drover {
namespace {

std::string AgeOf(int64_t unix_ms, int64_t now_unix_ms) {
  return FormatAge(static_cast<double>(now_unix_ms - unix_ms) / 1000);
}

std::string ProgressOf(const v1::Job& job) {
  const int64_t steps = job.spec().steps();
  const int64_t percent = steps > 0 ? job.step() * 100 / steps : 0;
  return fmt::format("{}/{} {} %", job.step(), steps, percent);
}

std::string AccuracyOf(const v1::Job& job) {
  if (job.has_last_eval()) return FormatFraction(job.last_eval().accuracy());
  return job.has_last_step() ? FormatFraction(job.last_step().accuracy()) : "-";
}

// What a job that has not ended waits for; empty for the others.
std::string WaitOf(const v1::Job& job) {
  return job.reason().starts_with("WAITING_") || job.reason() == "ALL_WORKERS_REFUSED"
             ? job.message()
             : "";
}

// Shared by the summary and the page: `  label         text`.
std::string PageRow(const std::string& label, const std::string& text, bool color) {
  return StyledLine()
             .Add("  ")
             .Add(fmt::format("{:<14}", label), Tone::kDim)
             .Add(text)
             .Render(std::string::npos, color) +
         "\n";
}

}  // namespace

std::string JobTable(const std::vector<v1::Job>& jobs, int64_t now_unix_ms, bool color) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "NAME", "STATE", "WORKERS", "PROGRESS", "LOSS", "ACCURACY", "SAMPLES/S", "AGE"}};
  // Why it waits: only with a job that does.
  const bool waits = std::any_of(jobs.begin(), jobs.end(),
                                 [](const v1::Job& job) { return !WaitOf(job).empty(); });
  if (waits) rows[0].push_back("MESSAGE");
  for (const v1::Job& job : jobs) {
    const bool stepped = job.has_last_step();
    rows.push_back({job.id(), Shorten(job.spec().name(), 24), StateName(job.state()),
                    job.workers() == 0 ? "-" : fmt::format("{}", job.workers()), ProgressOf(job),
                    stepped ? fmt::format("{:.4g}", job.last_step().loss()) : "-", AccuracyOf(job),
                    stepped ? FormatCompact(job.last_step().samples_per_second()) : "-",
                    AgeOf(job.create_time_unix_ms(), now_unix_ms)});
    if (waits) rows.back().push_back(Shorten(WaitOf(job), 60));
  }
  return FormatTable(rows, color);
}

std::string CheckpointTable(const std::vector<v1::CheckpointInfo>& checkpoints, int64_t now_unix_ms,
                            bool color) {
  std::vector<std::vector<std::string>> rows = {{"ID", "STEP", "SIZE", "WEIGHTS", "AGE", "PATH"}};
  for (const v1::CheckpointInfo& checkpoint : checkpoints) {
    rows.push_back({checkpoint.id(), fmt::format("{}", checkpoint.version()),
                    FormatBytes(checkpoint.bytes()), checkpoint.weights_digest().substr(0, 12),
                    AgeOf(checkpoint.create_time_unix_ms(), now_unix_ms), checkpoint.path()});
  }
  return FormatTable(rows, color);
}

std::string JobPage(const v1::Job& job, int64_t now_unix_ms, bool color) {
  StyledLine head;
  head.Add(job.spec().name(), Tone::kStrong).Add("  ");
  head.Add(StateName(job.state()), ToneOf(job.state()));
  std::string page = head.Render(std::string::npos, color) + "\n";
  const auto row = [&page, color](const std::string& label, const std::string& text) {
    if (!text.empty()) page += PageRow(label, text, color);
  };
  row("id", job.id());
  row("reason", job.reason());
  row("message", job.message());
  row("progress", ProgressOf(job));
  row("created", fmt::format("{} ({} ago)", FormatTime(job.create_time_unix_ms()),
                             AgeOf(job.create_time_unix_ms(), now_unix_ms)));
  row("started", FormatTime(job.start_time_unix_ms()));
  row("ended", FormatTime(job.end_time_unix_ms()));
  if (job.has_last_step()) {
    const v1::StepReport& step = job.last_step();
    row("last step", fmt::format("{}: loss {:.4g}, accuracy {}, learning rate {:.3g}, |g| {:.3g}",
                                 step.step(), step.loss(), FormatFraction(step.accuracy()),
                                 step.learning_rate(), step.gradient_norm()));
    row("speed", fmt::format("{} samples/s, {:.3g} s per step",
                             FormatCompact(step.samples_per_second()), step.seconds()));
    if (step.trust_ratio_max() > 0) {
      row("trust ratio",
          fmt::format("min {:.3g}, median {:.3g}, max {:.3g}", step.trust_ratio_min(),
                      step.trust_ratio_median(), step.trust_ratio_max()));
    }
  }
  if (job.has_last_eval()) {
    row("evaluation",
        fmt::format("step {}: accuracy {:.4f}, loss {:.4g}, {} samples", job.last_eval().version(),
                    job.last_eval().accuracy(), job.last_eval().loss(),
                    FormatThousands(job.last_eval().samples())));
    if (job.last_eval().masked_tokens() > 0) {
      row("masked tokens",
          fmt::format("accuracy {:.4f}, loss {:.4f}, {} tokens", job.last_eval().masked_accuracy(),
                      job.last_eval().masked_loss(),
                      FormatThousands(job.last_eval().masked_tokens())));
    }
  }
  row("cluster",
      fmt::format("{} workers ({} lost so far), {} shards ({} restarted), epoch {}", job.workers(),
                  job.workers_lost(), job.shards(), job.shards_restarted(), job.epoch()));
  row("exactly once", fmt::format("{} of {} leaf chunks, {} duplicates, {} refused",
                                  FormatThousands(job.ledger().leaf_chunks_applied()),
                                  FormatThousands(job.ledger().leaf_chunks_expected()),
                                  FormatThousands(job.ledger().duplicates()),
                                  FormatThousands(job.ledger().refused())));
  if (job.parameters() > 0) {
    row("parameters", FormatThousands(static_cast<int64_t>(job.parameters())));
  }
  row("arithmetic", job.numeric_class());
  if (!job.weights_digest().empty()) {
    row("weights", fmt::format("{} (step {})", job.weights_digest(), job.weights_digest_step()));
  }
  const std::string schedule = ScheduleTable(job.spec(), color);
  if (!schedule.empty()) page += "\n" + schedule;
  return page + "\n" + SpecToYaml(job.spec());
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : fmt::format("{{\"error\": \"{}\"}}\n", status.ToString());
}

}  // namespace drover
