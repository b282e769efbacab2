#include "server/cli/local_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/base/file_system.h"
#include "common/config/flags.h"
#include "server/cli/file_text.h"
#include "server/cli/styled_line.h"

namespace drover {
namespace {

constexpr std::chrono::seconds kStartTimeout{15};
constexpr std::chrono::milliseconds kPollInterval{10};
constexpr std::chrono::seconds kWorkerGrace{4};
constexpr std::chrono::seconds kCoordinatorGrace{3};
constexpr int kLogLinesShown = 8;

}  // namespace

Result<std::string> ProgramDirectory() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0 || size == sizeof(path)) {
    return Status(Code::kUnknown, "the path of this program cannot be read from /proc/self/exe");
  }
  const std::string whole(path, static_cast<size_t>(size));
  return whole.substr(0, whole.rfind('/'));
}

LocalCluster::LocalCluster(LocalClusterOptions options) : options_(std::move(options)) {}

LocalCluster::~LocalCluster() {
  Stop();
  if (lock_fd_ >= 0) close(lock_fd_);
}

std::string LocalCluster::RunPath(const std::string& name) const {
  return options_.state_dir + "/run/" + name;
}

std::string LocalCluster::LogPath(const Role& role) const {
  return options_.state_dir + "/logs/" + role.name + ".log";
}

void LocalCluster::Note(const std::string& text) const {
  if (options_.notes != nullptr) options_.notes(text);
}

Result<std::unique_ptr<LocalCluster>> LocalCluster::Start(LocalClusterOptions options) {
  FileSystem& fs = FileSystem::Real();
  for (const char* folder : {"/run", "/logs"}) {
    DROVER_RETURN_IF_ERROR(fs.MakeDirectories(options.state_dir + folder));
  }
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(std::move(options)));
  DROVER_RETURN_IF_ERROR(cluster->Lock());
  const LocalClusterOptions& chosen = cluster->options_;
  cluster->roles_.push_back({Kind::kCoordinator, "coordinator", {}, {}, {}});
  for (int k = 0; k < chosen.shards; ++k) {
    cluster->roles_.push_back({Kind::kShard, fmt::format("shard-{}", k), {}, {}, {}});
  }
  for (int k = 0; k < chosen.workers; ++k) {
    cluster->roles_.push_back({Kind::kWorker, fmt::format("worker-{}", k), {}, {}, {}});
  }
  DROVER_RETURN_IF_ERROR(cluster->StartCoordinator());
  for (size_t i = 1; i < cluster->roles_.size(); ++i) {
    DROVER_RETURN_IF_ERROR(cluster->StartRole(&cluster->roles_[i]));
  }
  return cluster;
}

Status LocalCluster::Lock() {
  const std::string path = RunPath("lock");
  lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0) {
    return Status(Code::kPermissionDenied, fmt::format("opening {}: {}", path, strerror(errno)));
  }
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) == 0) return Status();
  return Status(
      Code::kFailedPrecondition,
      fmt::format("another \"drover run\" uses the state directory {}", options_.state_dir));
}

Status LocalCluster::StartCoordinator() {
  FileSystem& fs = FileSystem::Real();
  const std::string port_path = RunPath("coordinator.port");
  DROVER_RETURN_IF_ERROR(fs.RemoveAll(port_path));
  Role& coordinator = roles_.front();
  coordinator_address_ = "127.0.0.1:0";
  DROVER_RETURN_IF_ERROR(StartRole(&coordinator));
  const Instant deadline = Clock::Real().Now() + kStartTimeout;
  while (!fs.Exists(port_path)) {
    const std::optional<int> death = coordinator.process.Poll();
    if (death.has_value()) return GiveUp(coordinator, *death);
    if (options_.interrupted != nullptr && options_.interrupted()) {
      return Status(Code::kCancelled, "interrupted");
    }
    if (Clock::Real().Now() > deadline) {
      return Status(Code::kDeadlineExceeded,
                    fmt::format("the coordinator did not listen within {} s; its log is {}",
                                kStartTimeout.count(), LogPath(coordinator)));
    }
    SleepFor(kPollInterval);
  }
  const Result<std::string> text = fs.ReadWhole(port_path, 256);
  if (!text.ok()) return text.status();
  coordinator_address_ = text.value().substr(0, text.value().find('\n'));
  return CheckAddress(coordinator_address_).Annotate(port_path);
}

std::vector<std::string> LocalCluster::ArgumentsOf(const Role& role) const {
  const std::string state = options_.state_dir + "/" + role.name;
  std::vector<std::string> arguments;
  switch (role.kind) {
    case Kind::kCoordinator:
      // After a restart on the same port, so that everybody finds it again.
      arguments = {options_.program_dir + "/drover-coordinator",
                   "--listen",
                   coordinator_address_,
                   "--state-dir",
                   state,
                   "--min-shards",
                   fmt::format("{}", options_.shards),
                   "--port-file",
                   RunPath("coordinator.port")};
      break;
    case Kind::kShard:
      arguments = {options_.program_dir + "/drover-shard",
                   "--coordinator",
                   coordinator_address_,
                   "--name",
                   role.name,
                   "--listen",
                   "127.0.0.1:0",
                   "--state-dir",
                   state};
      break;
    case Kind::kWorker:
      arguments = {options_.program_dir + "/drover-worker",
                   "--coordinator",
                   coordinator_address_,
                   "--name",
                   role.name,
                   "--lanes",
                   fmt::format("{}", options_.lanes)};
      break;
  }
  for (const char* more : {"--metrics", "127.0.0.1:0", "--log-level"}) arguments.push_back(more);
  arguments.push_back(options_.log_level);
  return arguments;
}

Status LocalCluster::StartRole(Role* role) {
  role->start_at.reset();
  Result<ChildProcess> process = ChildProcess::Start(ArgumentsOf(*role), LogPath(*role));
  if (!process.ok()) return process.status();
  role->process = std::move(process).value();
  return ReplaceFile(RunPath(role->name + ".pid"), fmt::format("{}\n", role->process.pid()));
}

Status LocalCluster::Tend() {
  if (!failure_.ok()) return failure_;
  const Instant now = Clock::Real().Now();
  for (Role& role : roles_) {
    const std::optional<int> death = role.process.Poll();
    Status status;
    if (death.has_value()) {
      status = HandleDeath(&role, *death, now);
    } else if (role.start_at.has_value() && now >= *role.start_at) {
      status = StartRole(&role);
    }
    if (!status.ok()) return failure_ = status;
  }
  return Status();
}

Status LocalCluster::HandleDeath(Role* role, int wait_status, Instant now) {
  if (ExitedWith(wait_status, kExitConfiguration)) return GiveUp(*role, wait_status);
  const std::optional<Duration> wait = role->policy.OnDeath(now);
  if (!wait.has_value()) return GiveUp(*role, wait_status);
  if (role->kind == Kind::kWorker) ++workers_lost_;
  if (role->kind == Kind::kShard) ++shards_restarted_;
  role->start_at = now + *wait;
  Note(fmt::format("{} died ({}), it is started again", role->name, DescribeExit(wait_status)));
  return Status();
}

Status LocalCluster::GiveUp(const Role& role, int wait_status) {
  const std::string what =
      ExitedWith(wait_status, kExitConfiguration)
          ? fmt::format("{} refuses its configuration", role.name)
          : fmt::format("{} keeps dying ({})", role.name, DescribeExit(wait_status));
  return Status(Code::kAborted, fmt::format("{}; the end of {}:\n{}", what, LogPath(role),
                                            LastLines(LogPath(role), kLogLinesShown)));
}

void LocalCluster::Stop() {
  StopKinds({Kind::kShard, Kind::kWorker}, kWorkerGrace);
  StopKinds({Kind::kCoordinator}, kCoordinatorGrace);
}

void LocalCluster::StopKinds(const std::vector<Kind>& kinds, Duration grace) {
  std::vector<Role*> left;
  for (Role& role : roles_) {
    const bool chosen = std::find(kinds.begin(), kinds.end(), role.kind) != kinds.end();
    if (!chosen || !role.process.running()) continue;
    role.process.Signal(SIGTERM);
    // One that a test has frozen must wake up to end.
    role.process.Signal(SIGCONT);
    left.push_back(&role);
  }
  const Instant deadline = Clock::Real().Now() + grace;
  while (!left.empty() && Clock::Real().Now() < deadline) {
    std::erase_if(left, [](Role* role) { return role->process.Poll().has_value(); });
    if (!left.empty()) SleepFor(kPollInterval);
  }
  for (Role* role : left) role->process = ChildProcess();  // SIGKILL.
}

std::string LocalCluster::Table(bool color) const {
  std::vector<std::vector<std::string>> rows = {{"ROLE", "PID", "LOG"}};
  for (const Role& role : roles_) {
    rows.push_back({role.name, fmt::format("{}", role.process.pid()), LogPath(role)});
  }
  return FormatTable(rows, color);
}

}  // namespace drover
