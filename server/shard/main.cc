// drover-shard: holds a part of the weights of a job, sums gradients, applies updates.

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "common/base/build_revision.h"
#include "common/base/clock.h"
#include "common/base/end_signals.h"
#include "common/base/file_system.h"
#include "common/base/logging.h"
#include "common/base/machine_memory.h"
#include "common/base/quote.h"
#include "common/base/thread.h"
#include "common/config/flags.h"
#include "common/gpu/cuda_build.h"
#include "common/metrics/exposition.h"
#include "common/metrics/registry.h"
#include "common/metrics/start_facts.h"
#include "common/rpc/certificate_metrics.h"
#include "common/rpc/channel.h"
#include "common/rpc/insecure_warning.h"
#include "common/rpc/port_watchdog.h"
#include "common/rpc/server_metrics.h"
#include "common/rpc/transport.h"
#include "server/shard/coordinator_session.h"
#include "server/shard/gpu_device.h"
#include "server/shard/shard_host.h"
#include "server/shard/tensor_service.h"
#include "server/shard/token_gate.h"

namespace drover {
namespace {

// Streams that are still open at the end get this long.
constexpr int kShutdownMs = 500;

struct Flags {
  std::string coordinator;
  std::string listen = "127.0.0.1:50051";
  std::string advertise;  // Empty: the listen address.
  std::string name;       // Empty: from host and port.
  std::string state_dir = "drover-state/shard";
  std::string device = "cpu";
  std::string metrics;
  TlsFlags tls;
  LogOptions log;
};

std::optional<int> ParseFlags(int argc, char** argv, Flags* flags) {
  CLI::App app("Holds a part of the weights of the running job, sums gradients, applies updates.");
  app.set_version_flag("--version", VersionText("drover-shard " DROVER_VERSION));
  AddCoordinatorFlag(&app, &flags->coordinator);
  AddListenFlag(&app, &flags->listen);
  app.add_option("--advertise", flags->advertise,
                 "Address that workers are told; default: the one of --listen")
      ->type_name("HOST:PORT")
      ->check([](const std::string& address) { return CheckAddress(address).message(); });
  AddNameFlag(&app, &flags->name);
  app.add_option("--state-dir", flags->state_dir,
                 "Where restarts find their state; one directory per shard")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--device", flags->device,
                 "Where sums and updates are computed: cpu, or cuda:N for GPU N; the same bits")
      ->type_name("DEVICE")
      ->capture_default_str();
  AddMetricsFlag(&app, &flags->metrics);
  AddTlsFlags(&app, &flags->tls);
  AddLogFlags(&app, &flags->log);
  return ParseDaemonFlags(&app, argc, argv);
}

Result<Transport> OpenTransport(const Flags& flags) {
  Result<Transport> transport = Transport::Open(flags.tls, {Role::kShard});
  if (!transport.ok()) return transport.status();
  DROVER_RETURN_IF_ERROR(transport.value().CheckReach("--coordinator", flags.coordinator));
  DROVER_RETURN_IF_ERROR(transport.value().CheckReach("--listen", flags.listen));
  return transport;
}

// The same after a restart with the same flags, different for two shards of one host.
std::string DefaultName(const std::string& address) {
  std::array<char, 256> host = {};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {'s', 'h', 'a', 'r', 'd'};
  std::string name = std::string(host.data()).substr(0, 50) + "-" +
                     address.substr(address.rfind(':') + 1).substr(0, 12);
  for (char& c : name) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '-';
    if (!fits) c = '-';
  }
  return name;
}

// `address` with the port that was taken.
std::string WithPort(const std::string& address, int port) {
  if (!address.ends_with(":0")) return address;
  return fmt::format("{}:{}", address.substr(0, address.size() - 2), port);
}

ShardIdentity IdentityOf(const Flags& flags, const std::string& address, const std::string& name) {
  std::random_device device;
  ShardIdentity identity;
  identity.name = name;
  identity.incarnation = uint64_t{device()} << 32 | device();
  identity.address = flags.advertise.empty() ? address : flags.advertise;
  identity.version = DROVER_VERSION;
  return identity;
}

int RefuseToStart(const Status& status) {
  LogError("cannot start: {}", status.message());
  return kExitConfiguration;
}

// Null, or port 0, when the address cannot be bound.
std::unique_ptr<grpc::Server> Serve(const std::string& address,
                                    const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                    TensorService* service, MetricRegistry* registry, int* port) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, ServerKind::kData);
  builder.AddListeningPort(address, credentials, port);
  builder.RegisterService(service);
  CountCalls(registry, &builder);
  return builder.BuildAndStart();
}

// Nothing of host memory: that is process_resident_memory_bytes.
void ExportMemory(const ShardDevice& device, MetricRegistry* registry) {
  const std::optional<ShardDevice::Memory> memory = device.ReadMemory();
  if (!memory) return;
  const auto set = [&](const char* kind, int64_t bytes) {
    registry->GaugeOf(Metric::kDeviceMemoryBytes, {device.name(), kind})
        .Set(static_cast<double>(bytes));
  };
  set("used", memory->used);
  set("reserved", memory->reserved);
  set("total", memory->total);
}

// Ready when the coordinator knows us.
Result<std::unique_ptr<MetricsServer>> ServeMetrics(const std::string& address,
                                                    MetricRegistry* registry,
                                                    const CoordinatorSession* session) {
  if (address.empty()) return std::unique_ptr<MetricsServer>();
  registry
      ->GaugeOf(Metric::kBuildInfo, {DROVER_VERSION, std::string(kBuildRevision), "shard",
                                     grpc_version_string(), CudaOfBuild()})
      .Set(1);
  return MetricsServer::Start(address, *registry, [session] {
    if (session->connected()) return Status();
    return Status(Code::kUnavailable, "not connected to the coordinator");
  });
}

int Run(Flags flags) {
  umask(0077);  // Weights and job files are for our user only.
  InitLogging(flags.name.empty() ? "shard" : "shard/" + flags.name, flags.log);
  EndSignals signals;  // Before gRPC starts threads for the certificates.
  const Result<Transport> transport = OpenTransport(flags);
  if (!transport.ok()) return RefuseToStart(transport.status());
  const auto name_at = [&](const std::string& address) {
    return NodeName(flags.name, DefaultName(address), transport.value().facts().identity);
  };
  if (const Status status = name_at(flags.listen).status(); !status.ok()) {
    return RefuseToStart(status);
  }
  if (const Status status = RaiseDescriptorLimit().status(); !status.ok()) {
    LogWarning("{}", status.message());
  }

  MetricRegistry registry(MetricRole::kShard);
  ExportCertificateExpiry(flags.tls, &registry);
  std::unique_ptr<CoordinatorSession> session;  // Made when the port is known.
  ShardRuntimeOptions options;
  options.state_dir = flags.state_dir;
  options.threads = CoreCount();
  options.available_memory = [] { return ReadMachineMemory().available; };
  Result<std::shared_ptr<const ShardDevice>> device =
      OpenShardDevice(flags.device, options.threads);
  if (!device.ok()) return RefuseToStart(device.status().Annotate("--device"));
  options.device = std::move(device).value();
  registry.OnRender([&registry, of = options.device] { ExportMemory(*of, &registry); });
  // The first reply answers an order, so the session is there by then.
  Result<std::unique_ptr<ShardHost>> started =
      ShardHost::Start(FileSystem::Real(), Clock::Real(), options, &registry,
                       [&session](const ShardReply& reply) { session->Send(reply); });
  if (!started.ok()) return RefuseToStart(started.status());
  ShardHost& host = *started.value();

  const auto count_refusal = [&registry](AuthFailure failure) {
    registry.CounterOf(Metric::kAuthFailuresTotal, {AuthFailureName(failure)}).Increment();
  };
  TokenGate gate(Clock::Real(), count_refusal);
  TensorService service(
      Clock::Real(), [&host](uint64_t job) { return host.Find(job); }, &gate);
  int port = 0;
  const std::unique_ptr<grpc::Server> server =
      Serve(flags.listen, transport.value().MakeServerCredentials({nullptr, count_refusal}),
            &service, &registry, &port);
  if (server == nullptr || port == 0) {
    return RefuseToStart(
        Status(Code::kUnavailable, fmt::format("cannot listen on {}: is the port taken by another "
                                               "process? Port 0 takes a free one",
                                               Quote(flags.listen))));
  }
  const std::string address = WithPort(flags.listen, port);
  const ShardIdentity identity = IdentityOf(flags, address, name_at(address).value());
  const Counter retries = registry.CounterOf(Metric::kRpcRetriesTotal, {"Session"});
  session = std::make_unique<CoordinatorSession>(
      MakeChannel(flags.coordinator, ChannelKind::kControl, transport.value().channels()), identity,
      [&host] { return host.Jobs(); }, [retries] { retries.Increment(); });
  Result<std::unique_ptr<MetricsServer>> exposition =
      ServeMetrics(flags.metrics, &registry, session.get());
  if (!exposition.ok()) return RefuseToStart(exposition.status().Annotate("--metrics"));
  LogStart(fmt::format("drover-shard {} listens on {}", DROVER_VERSION, address),
           StartFacts({{"name", identity.name},
                       {"coordinator", flags.coordinator},
                       {"state_dir", flags.state_dir},
                       {"device", flags.device},
                       {"threads", fmt::format("{}", options.threads)},
                       {"tls", transport.value().Name()}},
                      exposition.value().get()));
  std::unique_ptr<PortWatchdog> watchdog = EndWhenDeaf(address);
  const std::unique_ptr<InsecureWarning> warning =
      WarnIfInsecure(flags.tls.insecure, {flags.listen, flags.coordinator});
  session->Start([&host, &gate](ShardOrder order) {
    gate.OnOrder(order);
    host.Post(std::move(order));
  });

  signals.Await();
  watchdog.reset();  // A server that goes down may well not answer.
  // The writes under way are finished and answered; then the coordinator is told.
  host.Stop();
  session->Leave();
  server->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(kShutdownMs, GPR_TIMESPAN)));
  return 0;
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  drover::Flags flags;
  if (const std::optional<int> code = drover::ParseFlags(argc, argv, &flags)) return *code;
  return drover::Run(std::move(flags));
}
