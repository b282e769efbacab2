// drover-coordinator: the one address of a cluster. Jobs, queue, leases and commits.

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/build_revision.h"
#include "common/base/clock.h"
#include "common/base/end_signals.h"
#include "common/base/file_system.h"
#include "common/base/logging.h"
#include "common/base/quote.h"
#include "common/config/flags.h"
#include "common/metrics/exposition.h"
#include "common/metrics/registry.h"
#include "common/metrics/start_facts.h"
#include "common/rpc/certificate_metrics.h"
#include "common/rpc/channel.h"
#include "common/rpc/insecure_warning.h"
#include "common/rpc/port_watchdog.h"
#include "common/rpc/server_metrics.h"
#include "common/rpc/transport.h"
#include "common/tls/token_table.h"
#include "server/coordinator/coordinator_metrics.h"
#include "server/coordinator/coordinator_runtime.h"
#include "server/coordinator/job_service.h"
#include "server/coordinator/job_store.h"
#include "server/coordinator/shard_service.h"
#include "server/coordinator/status_history.h"
#include "server/coordinator/status_json.h"
#include "server/coordinator/status_page.h"
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
  int64_t jobs_per_user = CoordinatorRuntime::kJobsPerOwner;
  TlsFlags tls;
  std::string tokens;  // Empty: users have certificates too.
  LogOptions log;
};

std::optional<int> ParseFlags(int argc, char** argv, Flags* flags) {
  CLI::App app("The one address of a cluster: jobs, queue, leases and commits.");
  app.set_version_flag("--version", VersionText("drover-coordinator " DROVER_VERSION));
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
  app.add_option("--jobs-per-user", flags->jobs_per_user,
                 "Jobs of one user that have not ended; without TLS all are one user")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{CoordinatorRuntime::kJobsMax}))
      ->capture_default_str();
  app.add_option("--port-file", flags->port_file, "Gets HOST:PORT once the port is open")
      ->type_name("FILE");
  AddMetricsFlag(&app, &flags->metrics);
  AddTlsFlags(&app, &flags->tls);
  app.add_option("--tokens", flags->tokens,
                 "Bearer tokens of users, made by \"drover tokens add\"; needs TLS")
      ->type_name("FILE");
  AddLogFlags(&app, &flags->log);
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

int RefuseToStart(const Status& status, int code = kExitConfiguration) {
  LogError("cannot start: {}", status.message());
  return code;
}

// What stands between the port and the services.
struct Gate {
  Transport transport;
  std::unique_ptr<TokenTable> tokens;  // Null without --tokens.
};

Result<Gate> OpenGate(const Flags& flags) {
  Result<Transport> transport = Transport::Open(flags.tls, {Role::kCoordinator});
  if (!transport.ok()) return transport.status();
  DROVER_RETURN_IF_ERROR(transport.value().CheckReach("--listen", flags.listen));
  Gate gate;
  gate.transport = std::move(transport).value();
  if (flags.tokens.empty()) return gate;
  if (!gate.transport.tls()) {
    return Status(Code::kInvalidArgument,
                  "--tokens without --tls-cert: a token is never sent in plain text");
  }
  gate.tokens = std::make_unique<TokenTable>(flags.tokens);
  if (const Status status = gate.tokens->Load(); !status.ok()) return status.Annotate("--tokens");
  return gate;
}

// Submitters know of their own jobs only, viewers and administrators of all.
JobService::Caller CallerOf(const grpc::ServerContextBase& context, TokenTable* tokens) {
  JobService::Caller caller;
  caller.text = DescribeCaller(context, tokens);
  const std::optional<Identity> identity = CallerIdentity(context, tokens);
  if (!identity.has_value()) return caller;
  caller.owner = ToString(*identity);
  caller.sees_all = identity->role != Role::kSubmitter;
  return caller;
}

struct Services {
  JobService* jobs;
  WorkerService* workers;
  ShardService* shards;
};

std::unique_ptr<grpc::Server> Serve(const std::string& address,
                                    const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                    const Services& services, MetricRegistry* registry, int* port) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, ServerKind::kControl);
  builder.AddListeningPort(address, credentials, port);
  builder.RegisterService(services.jobs);
  builder.RegisterService(services.workers);
  builder.RegisterService(services.shards);
  CountCalls(registry, &builder);
  return builder.BuildAndStart();
}

// What the status page shows of the job and of everything else.
Result<StatusFacts> GatherStatus(const std::string& job, const std::string& address,
                                 int64_t started_unix_ms, CoordinatorRuntime* runtime,
                                 StatusHistory* history) {
  Result<StatusFacts> facts = runtime->ReadStatus(job);
  if (!facts.ok()) return facts;
  facts.value().version = DROVER_VERSION;
  facts.value().server = ServerForUsers(address);
  facts.value().started_unix_ms = started_unix_ms;
  if (facts.value().selected.empty()) return facts;
  const Status read = history->Read(facts.value().selected, &facts.value());
  if (!read.ok()) return read;
  return facts;
}

Result<std::unique_ptr<MetricsServer>> ServeMetrics(const std::string& address,
                                                    MetricRegistry* registry,
                                                    std::vector<HttpPage> pages) {
  if (address.empty()) return std::unique_ptr<MetricsServer>();
  registry
      ->GaugeOf(Metric::kBuildInfo, {DROVER_VERSION, std::string(kBuildRevision), "coordinator",
                                     grpc_version_string(), "none"})
      .Set(1);
  // The port is opened after all jobs have been read: who can ask is told that all is well.
  return MetricsServer::Start(
      address, *registry, [] { return Status(); }, std::move(pages));
}

// Serves until a signal ends the program.
int RunUntilSignal(const Flags& flags, const Gate& gate, JobStore* store, EndSignals* signals) {
  if (const Status status = RaiseDescriptorLimit().status(); !status.ok()) {
    LogWarning("{}", status.message());
  }
  MetricRegistry registry(MetricRole::kCoordinator);
  ExportCertificateExpiry(flags.tls, &registry);
  CoordinatorMetrics metrics(&registry, &Clock::Real());
  PeerSessions sessions;
  CoordinatorOptions options;
  options.shards_min = flags.min_shards;
  options.checkpoint_directory = flags.checkpoint_dir;
  CoordinatorRuntime runtime(options, {store, &FileSystem::Real(), &Clock::Real(), &sessions,
                                       &metrics, flags.jobs_per_user});
  if (const Status status = runtime.Start(); !status.ok()) return RefuseToStart(status, 1);

  JobService jobs(
      &runtime,
      [&registry](const char* outcome) {
        registry.CounterOf(Metric::kJobSubmissionsTotal, {outcome}).Increment();
      },
      [&gate](const grpc::ServerContextBase& context) {
        return CallerOf(context, gate.tokens.get());
      });
  const auto count_refusal = [&registry](AuthFailure failure) {
    registry.CounterOf(Metric::kAuthFailuresTotal, {AuthFailureName(failure)}).Increment();
  };
  RefusalLog refusals;
  const auto count_malformed = [&registry] {
    registry.CounterOf(Metric::kRefusedMessagesTotal, {"unknown", "malformed"}).Increment();
  };
  const PeerHost host = {&runtime,      &sessions,       &Clock::Real(), &refusals,
                         count_refusal, count_malformed, DROVER_VERSION};
  WorkerService workers(host);
  ShardService shards(host);
  int port = 0;
  const ServerAccess access = {gate.tokens.get(), count_refusal};
  const std::unique_ptr<grpc::Server> server =
      Serve(flags.listen, gate.transport.MakeServerCredentials(access), {&jobs, &workers, &shards},
            &registry, &port);
  if (server == nullptr) {
    return RefuseToStart(
        Status(Code::kUnavailable, fmt::format("cannot listen on {}: is the port taken by another "
                                               "process? Port 0 takes a free one",
                                               Quote(flags.listen))));
  }
  const std::string address = WithPort(flags.listen, port);
  StatusHistory history(&runtime);
  StatusPage page(
      [&, started = Clock::Real().UnixMilliseconds()](const std::string& job) {
        return GatherStatus(job, address, started, &runtime, &history);
      },
      &Clock::Real());
  Result<std::unique_ptr<MetricsServer>> exposition =
      ServeMetrics(flags.metrics, &registry, page.Pages());
  if (!exposition.ok()) return RefuseToStart(exposition.status().Annotate("--metrics"));
  LogStart(fmt::format("drover-coordinator {} listens on {}", DROVER_VERSION, address),
           StartFacts({{"state_dir", flags.state_dir},
                       {"checkpoint_dir", flags.checkpoint_dir},
                       {"min_shards", fmt::format("{}", flags.min_shards)},
                       {"tls", gate.transport.Name()}},
                      exposition.value().get()));
  std::unique_ptr<PortWatchdog> watchdog = EndWhenDeaf(address);
  const std::unique_ptr<InsecureWarning> warning =
      WarnIfInsecure(flags.tls.insecure, {flags.listen});
  if (!flags.port_file.empty()) {
    const Status status = WritePortFile(FileSystem::Real(), flags.port_file, address);
    if (!status.ok()) return RefuseToStart(status.Annotate("--port-file"));
  }

  signals->Await();
  watchdog.reset();  // A server that goes down may well not answer.
  // First of all, so that streams which end now do not look like lost workers and shards.
  runtime.Stop();
  jobs.StopWatchers();
  sessions.CloseAll("the coordinator is going down");
  server->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(kShutdownMs, GPR_TIMESPAN)));
  return 0;
}

int Run(Flags flags) {
  umask(0077);  // Weights and job files are for our user only.
  InitLogging("coordinator", flags.log);
  EndSignals signals;  // Before gRPC starts threads for the certificates.
  const Result<Gate> gate = OpenGate(flags);
  if (!gate.ok()) return RefuseToStart(gate.status());
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
  return RunUntilSignal(flags, gate.value(), store.value().get(), &signals);
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  drover::Flags flags;
  if (const std::optional<int> code = drover::ParseFlags(argc, argv, &flags)) return *code;
  return drover::Run(std::move(flags));
}
