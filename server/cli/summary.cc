#include "server/cli/summary.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/rpc/job_client.h"
#include "server/cli/format.h"
#include "server/cli/live_block.h"
#include "server/cli/schedule_view.h"
#include "server/cli/styled_line.h"

namespace drover {
namespace {

constexpr size_t kLabelWidth = 14;

class Page {
 public:
  explicit Page(bool color) : color_(color) {}

  void Row(const std::string& label, const std::string& text, Tone tone = Tone::kPlain) {
    Print(StyledLine()
              .Add("  ")
              .Add(fmt::format("{:<{}}", label, kLabelWidth), Tone::kDim)
              .Add(text, tone));
  }
  void Print(const StyledLine& line) { text_ += line.Render(std::string::npos, color_) + '\n'; }
  const std::string& text() const { return text_; }

 private:
  const bool color_;
  std::string text_;
};

StyledLine HeadLine(const v1::Job& job) {
  StyledLine line;
  line.Add(StateName(job.state()), ToneOf(job.state())).Add("  ");
  line.Add(job.spec().name(), Tone::kStrong).Add(fmt::format("  ({})", job.id()), Tone::kDim);
  return line;
}

void AddResult(const v1::Job& job, Page* page) {
  if (job.has_last_eval()) {
    const double accuracy = job.last_eval().accuracy();
    const double wanted = job.spec().target().at_least();
    // Only the last evaluation counts.
    const bool has_target = job.spec().has_target() && HasEnded(job.state());
    const std::string target = !has_target ? ""
                                           : fmt::format(", target {:g} {}", wanted,
                                                         accuracy >= wanted ? "met" : "missed");
    page->Row("accuracy",
              fmt::format("{:.4f} of {} held-out samples{}", accuracy,
                          FormatThousands(job.last_eval().samples()), target),
              !has_target          ? Tone::kPlain
              : accuracy >= wanted ? Tone::kGood
                                   : Tone::kBad);
  }
  if (job.has_last_step()) {
    page->Row("loss", fmt::format("{:.4f} at the last step{}", job.last_step().loss(),
                                  job.has_last_eval()
                                      ? fmt::format(", {:.4f} held out", job.last_eval().loss())
                                      : ""));
  }
}

void AddLedger(const v1::Job& job, Page* page) {
  const v1::Ledger& ledger = job.ledger();
  const bool whole = ledger.leaf_chunks_applied() == ledger.leaf_chunks_expected();
  page->Row(
      "exactly once",
      fmt::format("{} of {} leaves, {} of {} leaf chunks", FormatThousands(ledger.leaves_counted()),
                  FormatThousands(ledger.leaves_expected()),
                  FormatThousands(ledger.leaf_chunks_applied()),
                  FormatThousands(ledger.leaf_chunks_expected())),
      whole ? Tone::kPlain : Tone::kBad);
  if (ledger.duplicates() + ledger.refused() > 0) {
    page->Row("",
              fmt::format("{} duplicates recognised, {} chunks refused",
                          FormatThousands(ledger.duplicates()), FormatThousands(ledger.refused())));
  }
}

nlohmann::json NumberOrNull(bool has, double value) {
  return has && std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json TextOrNull(const std::string& text) {
  return text.empty() ? nlohmann::json() : nlohmann::json(text);
}

}  // namespace

RunSummary SummaryOf(const v1::Job& job) {
  return {job, job.workers_lost(), job.shards_restarted(), ""};
}

double RunSeconds(const v1::Job& job) {
  if (job.start_time_unix_ms() == 0 || job.end_time_unix_ms() < job.start_time_unix_ms()) return 0;
  return static_cast<double>(job.end_time_unix_ms() - job.start_time_unix_ms()) / 1000;
}

int64_t RunSamples(const v1::Job& job) { return SamplesOf(job.spec(), job.step()); }

std::string FormatSummary(const RunSummary& summary, bool color) {
  const v1::Job& job = summary.job;
  Page page(color);
  page.Print(HeadLine(job));
  if (!job.message().empty()) {
    page.Row("because", job.reason().empty() ? job.message() : job.reason() + ": " + job.message());
  }
  AddResult(job, &page);
  const double seconds = RunSeconds(job);
  page.Row("steps",
           fmt::format("{} of {}, {} samples", FormatThousands(job.step()),
                       FormatThousands(job.spec().steps()), FormatThousands(RunSamples(job))));
  if (seconds > 0) {
    page.Row("time", fmt::format("{} ({} samples/s)", FormatClock(seconds),
                                 FormatCompact(static_cast<double>(RunSamples(job)) / seconds)));
  }
  AddLedger(job, &page);
  page.Row("failures", fmt::format("{} workers lost, {} shards restarted", summary.workers_lost,
                                   summary.shards_restarted));
  if (!job.weights_digest().empty()) {
    page.Row("weights", job.weights_digest());
    if (!job.spec().numerics().mixed()) {
      page.Row("", "the same bits with any number of workers and shards");
    }
  }
  if (!summary.checkpoint_path.empty()) page.Row("checkpoint", summary.checkpoint_path);
  return page.text();
}

std::string SummaryToJson(const RunSummary& summary) {
  const v1::Job& job = summary.job;
  const double seconds = RunSeconds(job);
  const v1::Ledger& ledger = job.ledger();
  const nlohmann::ordered_json json = {
      {"job", job.id()},
      {"name", job.spec().name()},
      {"state", StateName(job.state())},
      {"reason", TextOrNull(job.reason())},
      {"message", TextOrNull(job.message())},
      {"steps", job.step()},
      {"samples", RunSamples(job)},
      {"samples_per_second",
       NumberOrNull(seconds > 0, static_cast<double>(RunSamples(job)) / seconds)},
      {"seconds", NumberOrNull(seconds > 0, seconds)},
      {"final_loss", NumberOrNull(job.has_last_step(), job.last_step().loss())},
      {"final_accuracy", NumberOrNull(job.has_last_eval(), job.last_eval().accuracy())},
      {"evaluation_loss", NumberOrNull(job.has_last_eval(), job.last_eval().loss())},
      {"masked_loss",
       NumberOrNull(job.last_eval().masked_tokens() > 0, job.last_eval().masked_loss())},
      {"weights_digest", TextOrNull(job.weights_digest())},
      {"ledger",
       {{"leaves_expected", ledger.leaves_expected()},
        {"leaves_counted", ledger.leaves_counted()},
        {"leaf_chunks_expected", ledger.leaf_chunks_expected()},
        {"leaf_chunks_applied", ledger.leaf_chunks_applied()},
        {"duplicates", ledger.duplicates()},
        {"refused", ledger.refused()}}},
      {"workers_lost", summary.workers_lost},
      {"shards_restarted", summary.shards_restarted},
      {"checkpoint", TextOrNull(summary.checkpoint_path)},
  };
  // Text from elsewhere may be anything: invalid UTF-8 is replaced instead of throwing.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace drover
