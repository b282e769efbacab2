#include "server/cli/metrics_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <system_error>

#include "common/base/quote.h"
#include "common/rpc/job_client.h"
#include "server/cli/event_file.h"
#include "server/cli/exit_code.h"
#include "server/cli/file_text.h"
#include "server/cli/interrupt.h"
#include "server/cli/job_view.h"
#include "server/cli/metrics_columns.h"

namespace drover {
namespace {

constexpr int64_t kTablePoints = 24;  // A screen.

// Hands on page after page until the end.
Status ForEachPage(JobClient* client, const std::string& job,
                   const std::function<void(const v1::GetMetricsResponse&)>& use) {
  v1::GetMetricsRequest request;
  request.set_job(job);
  for (;;) {
    if (Interrupted()) return Status(Code::kCancelled, "interrupted");
    const Result<v1::GetMetricsResponse> page = client->GetMetrics(request);
    if (!page.ok()) return page.status();
    use(page.value());
    if (page.value().next_step() <= request.first_step()) return Status();
    request.set_first_step(page.value().next_step());
  }
}

int PrintTable(const GlobalOptions& global, JobClient* client, const std::string& job) {
  v1::GetMetricsRequest request;
  request.set_job(job);
  request.set_points(kTablePoints);
  const Result<v1::GetMetricsResponse> metrics = client->GetMetrics(request);
  if (!metrics.ok()) return ReportCallError(metrics.status(), global.server);
  fmt::print("{}", MetricsTable(RowsOf(metrics.value()), UseColor(global.color, stdout)));
  fmt::print(stderr, "next: drover get metrics {} -o csv  |  jsonl  |  tensorboard\n", job);
  return kExitOk;
}

int PrintAll(const GlobalOptions& global, JobClient* client, const std::string& job) {
  v1::GetMetricsResponse whole;  // Only for JSON, which is one document.
  if (global.output == "csv") fmt::print("{}", CsvHead());
  const Status status = ForEachPage(client, job, [&](const v1::GetMetricsResponse& page) {
    if (global.output == "csv") fmt::print("{}", CsvOf(RowsOf(page)));
    if (global.output == "jsonl") fmt::print("{}", JsonLinesOf(RowsOf(page)));
    if (global.json()) whole.MergeFrom(page);
  });
  if (Interrupted()) return kExitInterrupted;
  if (!status.ok()) return ReportCallError(status, global.server);
  if (global.json()) {
    whole.clear_next_step();
    fmt::print("{}", ToJson(whole));
  }
  return kExitOk;
}

int WriteEventFile(const GlobalOptions& global, JobClient* client, const std::string& name,
                   const std::string& output_dir) {
  if (output_dir.empty()) {
    return ReportError(
        Status(Code::kInvalidArgument, "-o tensorboard writes a file: expected --output-dir DIR"));
  }
  const Result<v1::Job> job = client->Get(name);
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  const int64_t created = job.value().create_time_unix_ms();
  EventFile file(static_cast<double>(created) / 1000.0);
  int64_t steps = 0;
  const Status status =
      ForEachPage(client, job.value().id(), [&](const v1::GetMetricsResponse& page) {
        file.Add(RowsOf(page));
        steps += page.steps_size();
      });
  if (Interrupted()) return kExitInterrupted;
  if (!status.ok()) return ReportCallError(status, global.server);
  // A folder is a run to TensorBoard. The same job always goes to the same file.
  const std::string folder =
      fmt::format("{}/{}-{}", output_dir, job.value().spec().name(), job.value().id());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return ReportError(
        Status(Code::kPermissionDenied,
               fmt::format("cannot make folder {}: {}", Quote(folder), error.message())));
  }
  const std::string path =
      fmt::format("{}/events.out.tfevents.{:010d}.drover", folder, created / 1000);
  const Status written = ReplaceFile(path, file.bytes());
  if (!written.ok()) return ReportError(written);
  fmt::print("{}\n", path);
  fmt::print(stderr, "{} steps; next: tensorboard --logdir {}\n", steps, output_dir);
  return kExitOk;
}

}  // namespace

int MetricsCommand(const GlobalOptions& global, const std::string& job,
                   const std::string& output_dir) {
  if (job.empty()) {
    return ReportError(Status(Code::kInvalidArgument, "expected drover get metrics JOB"));
  }
  if (!output_dir.empty() && global.output != "tensorboard") {
    return ReportError(
        Status(Code::kInvalidArgument, "--output-dir is for -o tensorboard; other forms print"));
  }
  JobClient client(global.server, global.timeout, global.security);
  if (global.output == "tensorboard") return WriteEventFile(global, &client, job, output_dir);
  if (global.output == "table") return PrintTable(global, &client, job);
  return PrintAll(global, &client, job);
}

}  // namespace drover
