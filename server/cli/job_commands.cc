#include "server/cli/job_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <random>

#include "common/config/suggestion.h"
#include "common/rpc/job_client.h"
#include "server/cli/exit_code.h"
#include "server/cli/format.h"
#include "server/cli/interrupt.h"
#include "server/cli/job_input.h"
#include "server/cli/job_view.h"
#include "server/cli/live_output.h"
#include "server/cli/metrics_command.h"
#include "server/cli/summary.h"
#include "server/cli/watch_loop.h"

namespace drover {
namespace {

constexpr std::chrono::seconds kWatchPatience{30};

// Not for secrets: two submits must not meet by accident.
std::string RandomRequestId() {
  std::random_device device;
  std::string id = "cli-";
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", device());
  return id;
}

int64_t NowUnixMs() { return Clock::Real().UnixMilliseconds(); }

int FollowJob(const GlobalOptions& global, JobClient* client, const v1::Job& job) {
  LiveOutput output(stderr, IsTerminal(stderr), UseColor(global.color, stderr));
  WatchOptions options;
  options.patience = kWatchPatience;
  const WatchOutcome outcome = WatchJob(client, job, options, &output);
  if (outcome.interrupted) {
    fmt::print(stderr, "detached; the job goes on\nhint: drover watch {0}  |  drover cancel {0}\n",
               outcome.job.id());
    return kExitInterrupted;
  }
  if (!outcome.status.ok()) return ReportCallError(outcome.status, global.server);
  fmt::print("{}", global.json()
                       ? SummaryToJson(SummaryOf(outcome.job))
                       : FormatSummary(SummaryOf(outcome.job), UseColor(global.color, stdout)));
  return outcome.job.state() == v1::JOB_STATE_SUCCEEDED ? kExitOk : kExitFailed;
}

struct Target {
  std::string kind;  // "job", "checkpoint" or "metrics".
  std::string name;  // May be empty.
};

Result<Target> ReadTarget(const std::vector<std::string>& words) {
  if (words.empty()) return Target{"job", ""};
  const std::string& first = words[0];
  const std::string kind = first == "job" || first == "jobs"                 ? "job"
                           : first == "checkpoint" || first == "checkpoints" ? "checkpoint"
                           : first == "metrics"                              ? "metrics"
                                                                             : "";
  if (words.size() == 1 && kind.empty()) return Target{"job", first};
  if (kind.empty()) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("unknown kind \"{}\"{}", first,
                    Suggest(first, {"job", "jobs", "checkpoint", "checkpoints", "metrics"})));
  }
  return Target{kind, words.size() > 1 ? words[1] : ""};
}

int ListCheckpointsOf(const GlobalOptions& global, JobClient* client, const std::string& job) {
  const Result<std::vector<v1::CheckpointInfo>> checkpoints = client->ListCheckpoints(job);
  if (!checkpoints.ok()) return ReportCallError(checkpoints.status(), global.server);
  if (global.json()) {
    v1::ListCheckpointsResponse response;
    response.mutable_checkpoints()->Assign(checkpoints.value().begin(), checkpoints.value().end());
    fmt::print("{}", ToJson(response));
  } else {
    fmt::print("{}",
               CheckpointTable(checkpoints.value(), NowUnixMs(), UseColor(global.color, stdout)));
  }
  return kExitOk;
}

void PrintJobs(const GlobalOptions& global, const std::vector<v1::Job>& jobs) {
  if (global.json()) {
    v1::ListJobsResponse response;
    response.mutable_jobs()->Assign(jobs.begin(), jobs.end());
    fmt::print("{}", ToJson(response));
    return;
  }
  fmt::print("{}", JobTable(jobs, NowUnixMs(), UseColor(global.color, stdout)));
  if (jobs.empty()) fmt::print(stderr, "hint: drover submit docs/examples/quickstart.yaml\n");
}

std::string LogText(const v1::JobEvent& event) {
  // Text of other processes: no byte of it may move the cursor.
  const std::string text = StyledLine().Add(event.log().text()).Render(std::string::npos, false);
  return fmt::format("{} {:<7} {}  {}", FormatTime(event.time_unix_ms()), event.log().level(),
                     event.log().task(), text);
}

}  // namespace

int SubmitCommand(const GlobalOptions& global, const SubmitOptions& options) {
  const Result<JobFile> file = ReadCheckedJobFile(options.job_file, options.overrides);
  if (!file.ok()) {
    ReportError(file.status());
    return kExitUsage;
  }
  JobClient client(global.server, global.timeout, global.security);
  const std::string request_id =
      options.request_id.empty() ? RandomRequestId() : options.request_id;
  Result<v1::Job> job = client.Create(file.value().spec, request_id, options.dry_run);
  if (!job.ok() && job.status().code() == Code::kInvalidArgument) {
    return ReportError(
        Status(Code::kInvalidArgument, LocateProblems(file.value(), job.status().message())));
  }
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  if (options.dry_run) {
    fmt::print("{}", global.json() ? ToJson(job.value()) : SpecToYaml(job.value().spec()));
    fmt::print(stderr, "the job is fine; nothing was created\n");
    return kExitOk;
  }
  if (global.json() && !options.watch) fmt::print("{}", ToJson(job.value()));
  if (!global.json()) fmt::print("{}\n", job.value().id());
  std::fflush(stdout);
  if (options.watch) return FollowJob(global, &client, job.value());
  fmt::print(stderr, "next: drover watch {0}  |  drover logs -f {0}  |  drover cancel {0}\n",
             job.value().id());
  return kExitOk;
}

int GetCommand(const GlobalOptions& global, const std::vector<std::string>& words,
               const std::string& output_dir) {
  const Result<Target> target = ReadTarget(words);
  if (!target.ok()) return ReportError(target.status());
  if (target.value().kind == "metrics") {
    return MetricsCommand(global, target.value().name, output_dir);
  }
  if (!output_dir.empty() || (global.output != "table" && !global.json())) {
    return ReportError(Status(Code::kInvalidArgument,
                              "csv, jsonl, tensorboard and --output-dir are forms of metrics: "
                              "expected drover get metrics JOB"));
  }
  JobClient client(global.server, global.timeout, global.security);
  if (target.value().kind == "checkpoint") {
    return ListCheckpointsOf(global, &client, target.value().name);
  }
  if (target.value().name.empty()) {
    const Result<std::vector<v1::Job>> jobs = client.List();
    if (!jobs.ok()) return ReportCallError(jobs.status(), global.server);
    PrintJobs(global, jobs.value());
    return kExitOk;
  }
  const Result<v1::Job> job = client.Get(target.value().name);
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  if (global.json()) {
    fmt::print("{}", ToJson(job.value()));
  } else {
    PrintJobs(global, {job.value()});
  }
  return kExitOk;
}

int DescribeCommand(const GlobalOptions& global, const std::vector<std::string>& words) {
  const Result<Target> target = ReadTarget(words);
  if (!target.ok()) return ReportError(target.status());
  if (target.value().kind != "job" || target.value().name.empty()) {
    return ReportError(Status(Code::kInvalidArgument, "expected drover describe job NAME"));
  }
  JobClient client(global.server, global.timeout, global.security);
  const Result<v1::Job> job = client.Get(target.value().name);
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  fmt::print("{}", global.json()
                       ? ToJson(job.value())
                       : JobPage(job.value(), NowUnixMs(), UseColor(global.color, stdout)));
  return kExitOk;
}

int WatchCommand(const GlobalOptions& global, const std::string& job_name) {
  JobClient client(global.server, global.timeout, global.security);
  const Result<v1::Job> job = client.Get(job_name);
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  return FollowJob(global, &client, job.value());
}

int LogsCommand(const GlobalOptions& global, const LogsOptions& options) {
  JobClient client(global.server, global.timeout, global.security);
  const Result<v1::Job> job = client.Get(options.job);
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  JobStream stream(client, options.follow ? StreamKind::kLogsFollow : StreamKind::kLogs,
                   job.value().id(), 0, kWatchPatience);
  std::deque<std::string> last;  // With --tail: what may still be pushed out.
  const auto flush = [&last] {
    for (const std::string& line : last) fmt::print("{}\n", line);
    last.clear();
    std::fflush(stdout);
  };
  while (!stream.done() && !Interrupted()) {
    const std::optional<v1::JobEvent> event = stream.Next(std::chrono::milliseconds(100));
    if (!event.has_value()) {
      // What came before the first pause is the past; --tail is about that.
      if (options.follow) flush();
      continue;
    }
    if (!event->has_log()) continue;
    if (!options.task.empty() && event->log().task() != options.task) continue;
    last.push_back(LogText(*event));
    if (!options.tail.has_value()) flush();
    while (options.tail.has_value() && last.size() > static_cast<size_t>(*options.tail)) {
      last.pop_front();
    }
  }
  flush();
  if (Interrupted()) return kExitInterrupted;
  if (!stream.status().ok()) return ReportCallError(stream.status(), global.server);
  return kExitOk;
}

int VerbCommand(const GlobalOptions& global, JobVerbName verb, const std::string& name) {
  JobClient client(global.server, global.timeout, global.security);
  const Result<v1::Job> job = verb == JobVerbName::kCancel    ? client.Cancel(name)
                              : verb == JobVerbName::kSuspend ? client.Suspend(name)
                                                              : client.Resume(name);
  if (!job.ok()) return ReportCallError(job.status(), global.server);
  if (global.json()) {
    fmt::print("{}", ToJson(job.value()));
  } else {
    fmt::print("{} {}\n", job.value().id(), StateName(job.value().state()));
  }
  return kExitOk;
}

int DeleteCommand(const GlobalOptions& global, const std::string& name) {
  JobClient client(global.server, global.timeout, global.security);
  const Status status = client.Delete(name);
  if (!status.ok()) return ReportCallError(status, global.server);
  fmt::print("deleted {}\n", name);
  return kExitOk;
}

}  // namespace drover
