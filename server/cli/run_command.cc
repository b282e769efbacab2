#include "server/cli/run_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/file_system.h"
#include "common/base/temporary_directory.h"
#include "common/base/thread.h"
#include "server/cli/exit_code.h"
#include "server/cli/file_text.h"
#include "server/cli/interrupt.h"
#include "server/cli/job_input.h"
#include "server/cli/local_cluster.h"
#include "server/cli/summary.h"
#include "server/cli/watch_loop.h"

namespace drover {
namespace {

constexpr std::chrono::seconds kPatience{60};  // A coordinator that restarts, several times.
constexpr std::chrono::seconds kSuspendPatience{15};
constexpr int kAttemptsMax = 1000;  // Finished runs of one spec in one state directory.

class Run {
 public:
  Run(const GlobalOptions& global, const RunOptions& options)
      : global_(global),
        options_(options),
        color_(UseColor(global.color, stderr)),
        output_(stderr, IsTerminal(stderr), color_) {}

  int Execute() {
    Result<JobFile> file = ReadCheckedJobFile(options_.job_file, options_.overrides);
    if (!file.ok()) {
      ReportError(file.status());
      return kExitUsage;
    }
    Status ready = CheckLocalDataset(file.value());
    if (ready.ok() && !options_.json_path.empty()) {
      ready = CheckWritable(options_.json_path).Annotate("--json");
    }
    if (ready.ok()) ready = MakeStateDirectory();
    if (!ready.ok()) {
      ReportError(ready);
      return kExitUsage;
    }
    const int exit_code = ExecuteIn(file.value().spec);
    CleanUp(exit_code);
    return exit_code;
  }

 private:
  Status MakeStateDirectory() {
    temporary_ = options_.state_dir.empty();
    Result<std::string> path =
        temporary_ ? MakeTemporaryDirectory() : AbsolutePath(options_.state_dir);
    if (!path.ok()) return path.status();
    state_dir_ = std::move(path).value();
    DROVER_RETURN_IF_ERROR(FileSystem::Real().MakeDirectories(state_dir_).Annotate("--state-dir"));
    return CheckWritable(state_dir_ + "/probe").Annotate("--state-dir");
  }

  int ExecuteIn(const v1::JobSpec& spec) {
    const Status started = StartCluster();
    if (!started.ok()) return ReportFailure(started);
    client_ = std::make_unique<JobClient>(cluster_->coordinator_address(), global_.timeout);
    Result<v1::Job> job = Submit(spec);
    if (!job.ok()) return ReportFailure(job.status());
    WatchOutcome outcome = Watch(job.value(), kPatience);
    if (outcome.interrupted) return Detach(outcome.job);
    if (!outcome.status.ok()) return ReportFailure(outcome.status);
    return Conclude(outcome.job);
  }

  Status StartCluster() {
    Result<std::string> program_dir = ProgramDirectory();
    if (!program_dir.ok()) return program_dir.status();
    LocalClusterOptions cluster;
    cluster.program_dir = std::move(program_dir).value();
    cluster.state_dir = state_dir_;
    cluster.workers = options_.workers;
    cluster.shards = options_.shards;
    cluster.lanes = std::max(1, CoreCount() / std::max(1, options_.workers));
    cluster.log_level = options_.log_level;
    cluster.interrupted = Interrupted;
    cluster.notes = [this](const std::string& text) { output_.Note(text); };
    Result<std::unique_ptr<LocalCluster>> started = LocalCluster::Start(std::move(cluster));
    if (!started.ok()) return started.status();
    cluster_ = std::move(started).value();
    fmt::print(stderr, "{}coordinator at {}\n\n", cluster_->Table(color_),
               cluster_->coordinator_address());
    return Status();
  }

  // The unfinished job of this spec in the state directory, or a new one.
  Result<v1::Job> Submit(const v1::JobSpec& spec) {
    const std::string digest = SpecDigest(spec).substr(0, 32);
    for (int attempt = 1; attempt <= kAttemptsMax; ++attempt) {
      Result<v1::Job> job = client_->Create(spec, fmt::format("run-{}-{}", digest, attempt));
      if (!job.ok() || !HasEnded(job.value().state())) {
        return job.ok() ? Continue(std::move(job).value()) : job;
      }
    }
    return Status(Code::kResourceExhausted,
                  fmt::format("{} finished runs of this job are in {}; use another --state-dir",
                              kAttemptsMax, state_dir_));
  }

  Result<v1::Job> Continue(v1::Job job) {
    if (job.step() > 0) {
      output_.Note(fmt::format("job {} goes on after step {}", job.id(), job.step()));
    }
    const Result<v1::Job> last = AwaitSuspension(job);
    if (!last.ok()) return last;
    return last.value().state() == v1::JOB_STATE_SUSPENDED ? client_->Resume(job.id()) : last;
  }

  // While the job is on its way to a pause.
  Result<v1::Job> AwaitSuspension(const v1::Job& job) {
    Result<v1::Job> last = job;
    const Instant deadline = Clock::Real().Now() + kSuspendPatience;
    while (last.ok() && last.value().state() == v1::JOB_STATE_SUSPENDING &&
           Clock::Real().Now() < deadline) {
      DROVER_RETURN_IF_ERROR(cluster_->Tend());
      SleepFor(std::chrono::milliseconds(100));
      last = client_->Get(job.id());
    }
    return last;
  }

  WatchOutcome Watch(const v1::Job& job, Duration patience) {
    WatchOptions watch;
    watch.patience = patience;
    watch.tend = [this] { return cluster_->Tend(); };
    watch.stop_when_suspended = true;
    watch.news_since_unix_ms = started_unix_ms_;
    return WatchJob(client_.get(), job, watch, &output_);
  }

  // Ctrl-C. In a state directory that stays, the job is put where it can go on from.
  int Detach(const v1::Job& job) {
    if (temporary_) {
      fmt::print(stderr, "interrupted; nothing is kept (use --state-dir to go on later)\n");
      return kExitInterrupted;
    }
    fmt::print(stderr, "interrupted; suspending the job, Ctrl-C again to stop at once\n");
    Result<v1::Job> last = client_->Suspend(job.id());
    if (last.ok()) last = AwaitSuspension(last.value());
    const bool suspended = last.ok() && last.value().state() == v1::JOB_STATE_SUSPENDED;
    const int64_t step = last.ok() ? last.value().step() : job.step();
    fmt::print(stderr, "{} after step {} in {}\nhint: go on with  drover run {} --state-dir {}\n",
               suspended ? "suspended" : "stopped", step, state_dir_, options_.job_file,
               options_.state_dir);
    return kExitInterrupted;
  }

  int Conclude(const v1::Job& job) {
    RunSummary summary = SummaryOf(job);
    summary.workers_lost = std::max(summary.workers_lost, cluster_->workers_lost());
    summary.shards_restarted = std::max(summary.shards_restarted, cluster_->shards_restarted());
    const Result<std::vector<v1::CheckpointInfo>> checkpoints = client_->ListCheckpoints(job.id());
    const bool stays = !temporary_ || options_.keep;
    if (checkpoints.ok() && !checkpoints.value().empty() && stays) {
      summary.checkpoint_path = checkpoints.value().front().path();
    }
    cluster_->Stop();
    fmt::print(stderr, "\n");
    fmt::print("{}", global_.json() ? SummaryToJson(summary)
                                    : FormatSummary(summary, UseColor(global_.color, stdout)));
    std::fflush(stdout);
    int exit_code = job.state() == v1::JOB_STATE_SUCCEEDED ? kExitOk : kExitFailed;
    if (!options_.json_path.empty()) {
      const Status written = ReplaceFile(options_.json_path, SummaryToJson(summary));
      if (!written.ok()) exit_code = std::max(exit_code, ReportError(written));
    }
    if (job.state() == v1::JOB_STATE_SUSPENDED && !temporary_) {
      fmt::print(stderr, "hint: go on with  drover run {} --state-dir {}\n", options_.job_file,
                 options_.state_dir);
    }
    if (exit_code == kExitOk && !summary.checkpoint_path.empty()) {
      fmt::print(stderr, "\nnext: drover checkpoint export {} --out weights.safetensors\n",
                 summary.checkpoint_path);
    }
    return exit_code;
  }

  int ReportFailure(const Status& status) {
    if (Interrupted()) return kExitInterrupted;
    const int exit_code = ReportError(status);
    return exit_code == kExitUsage ? kExitUsage : kExitFailed;
  }

  void CleanUp(int exit_code) {
    cluster_.reset();  // Stops the processes.
    if (!temporary_) return;
    FileSystem& fs = FileSystem::Real();
    if (options_.keep) {
      fmt::print(stderr, "state and logs are kept in {}\n", state_dir_);
      return;
    }
    if (exit_code == kExitOk || exit_code == kExitInterrupted) {
      (void)fs.RemoveAll(state_dir_);
      return;
    }
    const Result<std::vector<std::string>> names = fs.List(state_dir_);
    for (const std::string& name : names.ok() ? names.value() : std::vector<std::string>()) {
      if (name != "logs") (void)fs.RemoveAll(state_dir_ + "/" + name);
    }
    fmt::print(stderr, "logs are kept in {}/logs\n", state_dir_);
  }

  const GlobalOptions& global_;
  const RunOptions& options_;
  const bool color_;
  LiveOutput output_;
  std::string state_dir_;
  bool temporary_ = false;
  const int64_t started_unix_ms_ = Clock::Real().UnixMilliseconds();
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<JobClient> client_;
};

}  // namespace

int RunCommand(const GlobalOptions& global, const RunOptions& options) {
  return Run(global, options).Execute();
}

}  // namespace drover
