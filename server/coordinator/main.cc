// drover-coordinator: the one address of a cluster. Jobs, queue, leases and commits.

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/logging.h"
#include "common/base/quote.h"
#include "common/config/flags.h"
#include "common/metrics/exposition.h"
#include "common/metrics/registry.h"
#include "common/rpc/channel.h"
#include "server/coordinator/coordinator_metrics.h"
#include "server/coordinator/coordinator_runtime.h"
#include "server/coordinator/job_service.h"
#include "server/coordinator/job_store.h"
#include "server/coordinator/shard_service.h"
#include "server/coordinator/worker_service.h"

namespace drover {
namespace {

// Calls that are still open at the end get this long.
constexpr int kShutdownMs = 1000;

struct Flags {
  std::string listen = "127.0.0.1:50050";
  std::string state_dir = "drover-state/coordinator";
  std::string checkpoint_dir;  // Empty: in the state directory.
  std::string port_file;
  std::string metrics = "127.0.0.1:9464";
  uint32_t min_shards = 1;
  LogLevel log_level = LogLevel::kInfo;
};

std::optional<int> ParseFlags(int argc, char** argv, Flags* flags) {
  CLI::App app("The one address of a cluster: jobs, queue, leases and commits.");
  app.set_version_flag("--version", "drover-coordinator " DROVER_VERSION);
  AddListenFlag(&app, &flags->listen);
  app.add_option("--state-dir", flags->state_dir, "Where restarts find all jobs")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--checkpoint-dir", flags->checkpoint_dir,
                 "Where shards write checkpoints, the same folder on every machine; default: "
                 "checkpoints in the state directory")
      ->type_name("DIR");
  app.add_option("--min-shards", flags->min_shards,
                 "A job starts once this many shards are there, on all that are")
      ->type_name("N")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--port-file", flags->port_file, "Gets HOST:PORT once the port is open")
      ->type_name("FILE");
  AddMetricsFlag(&app, &flags->metrics);
  AddLogLevelFlag(&app, &flags->log_level);
  return ParseDaemonFlags(&app, argc, argv);
}

// Shards run in other folders and must mean the same one.
std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

// `address` with the port that was taken.
std::string WithPort(const std::string& address, int port) {
  if (!address.ends_with(":0")) return address;
  return fmt::format("{}:{}", address.substr(0, address.size() - 2), port);
}

// Whole or not at all: who waits for the file may read it as soon as it is there.
Status WritePortFile(FileSystem& fs, const std::string& path, const std::string& address) {
  const std::string temporary = path + ".tmp";
  const std::string line = address + "\n";
  Result<std::unique_ptr<WritableFile>> file = fs.Create(temporary, line.size());
  if (!file.ok()) return file.status();
  DROVER_RETURN_IF_ERROR(file.value()->Append(line.data(), line.size()));
  DROVER_RETURN_IF_ERROR(file.value()->Close());
  return fs.Rename(temporary, path);
}

// Signals that end the program are awaited by main; every thread started later inherits the mask.
sigset_t BlockEndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int RefuseToStart(const Status& status, int code = kExitConfiguration) {
  LogError("cannot start: {}", status.message());
  return code;
}

Status CheckListen(const std::string& address) {
  if (IsLoopback(address)) return Status();
  return Status(Code::kFailedPrecondition,
                fmt::format("--listen {}: other machines can reach this address, and there is no "
                            "TLS here yet; use 127.0.0.1:PORT",
                            Quote(address)));
}

std::unique_ptr<grpc::Server> Serve(const std::string& address, JobService* jobs,
                                    WorkerService* workers, ShardService* shards, int* port) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, ServerKind::kControl);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), port);
  builder.RegisterService(jobs);
  builder.RegisterService(workers);
  builder.RegisterService(shards);
  return builder.BuildAndStart();
}

Result<std::unique_ptr<MetricsServer>> ServeMetrics(const std::string& address,
                                                    MetricRegistry* registry) {
  if (address.empty()) return std::unique_ptr<MetricsServer>();
  registry
      ->GaugeOf(Metric::kBuildInfo, {DROVER_VERSION, "", "coordinator", grpc_version_string(), ""})
      .Set(1);
  // The port is opened after all jobs have been read: who can ask is told that all is well.
  return MetricsServer::Start(address, *registry, [] { return Status(); });
}

// Serves until a signal ends the program.
int RunUntilSignal(const Flags& flags, JobStore* store) {
  const sigset_t signals = BlockEndSignals();
  MetricRegistry registry(MetricRole::kCoordinator);
  CoordinatorMetrics metrics(&registry, &Clock::Real());
  PeerSessions sessions;
  CoordinatorOptions options;
  options.shards_min = flags.min_shards;
  options.checkpoint_directory = flags.checkpoint_dir;
  CoordinatorRuntime runtime(options,
                             {store, &FileSystem::Real(), &Clock::Real(), &sessions, &metrics});
  if (const Status status = runtime.Start(); !status.ok()) return RefuseToStart(status, 1);

  JobService jobs(&runtime, [&registry](const char* outcome) {
    registry.CounterOf(Metric::kJobSubmissionsTotal, {outcome}).Increment();
  });
  const PeerHost host = {&runtime, &sessions, &Clock::Real()};
  WorkerService workers(host);
  ShardService shards(host);
  int port = 0;
  const std::unique_ptr<grpc::Server> server = Serve(flags.listen, &jobs, &workers, &shards, &port);
  if (server == nullptr) {
    return RefuseToStart(
        Status(Code::kUnavailable, fmt::format("cannot listen on {}: is the port taken by another "
                                               "process? Port 0 takes a free one",
                                               Quote(flags.listen))));
  }
  Result<std::unique_ptr<MetricsServer>> exposition = ServeMetrics(flags.metrics, &registry);
  if (!exposition.ok()) return RefuseToStart(exposition.status().Annotate("--metrics"));
  const std::string address = WithPort(flags.listen, port);
  LogInfo(
      "drover-coordinator {} listens on {} metrics_port={} state_dir={} checkpoint_dir={} "
      "min_shards={} tls=off",
      DROVER_VERSION, address, exposition.value() == nullptr ? 0 : exposition.value()->port(),
      flags.state_dir, flags.checkpoint_dir, flags.min_shards);
  if (!flags.port_file.empty()) {
    const Status status = WritePortFile(FileSystem::Real(), flags.port_file, address);
    if (!status.ok()) return RefuseToStart(status.Annotate("--port-file"));
  }

  int received = 0;
  sigwait(&signals, &received);
  LogInfo("ends after {}", received == SIGTERM ? "SIGTERM" : "SIGINT");
  // First of all, so that streams which end now do not look like lost workers and shards.
  runtime.Stop();
  jobs.StopWatchers();
  sessions.CloseAll("the coordinator is going down");
  server->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(kShutdownMs, GPR_TIMESPAN)));
  return 0;
}

int Run(Flags flags) {
  InitLogging("coordinator", flags.log_level);
  if (const Status status = CheckListen(flags.listen); !status.ok()) return RefuseToStart(status);
  flags.state_dir = Absolute(flags.state_dir);
  flags.checkpoint_dir = flags.checkpoint_dir.empty() ? flags.state_dir + "/checkpoints"
                                                      : Absolute(flags.checkpoint_dir);
  for (const std::string& directory : {flags.state_dir, flags.checkpoint_dir}) {
    const Status status = FileSystem::Real().MakeDirectories(directory);
    if (!status.ok()) return RefuseToStart(status);
  }
  const Result<std::unique_ptr<JobStore>> store = JobStore::Open(flags.state_dir + "/jobs.sqlite");
  // Another coordinator may be dying: worth another try, unlike a wrong flag.
  if (!store.ok()) return RefuseToStart(store.status(), 1);
  return RunUntilSignal(flags, store.value().get());
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  drover::Flags flags;
  if (const std::optional<int> code = drover::ParseFlags(argc, argv, &flags)) return *code;
  return drover::Run(std::move(flags));
}
