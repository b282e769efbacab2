// The program drover-worker: computes gradients for whatever job the coordinator assigns.

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/build_revision.h"
#include "common/base/end_signals.h"
#include "common/base/file_system.h"
#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/config/flags.h"
#include "common/gpu/cuda_build.h"
#include "common/metrics/exposition.h"
#include "common/metrics/registry.h"
#include "common/metrics/start_facts.h"
#include "common/rpc/certificate_metrics.h"
#include "common/rpc/channel.h"
#include "common/rpc/insecure_warning.h"
#include "common/rpc/session.h"
#include "common/rpc/transport.h"
#include "proto/drover/v1/worker.grpc.pb.h"
#include "worker/data/data_files.h"
#include "worker/nn/numeric_class.h"
#include "worker/train/device_choice.h"
#include "worker/train/gpu_memory_report.h"
#include "worker/train/train_loop.h"
#include "worker/train/worker_metrics.h"

namespace drover {
namespace {

// What the coordinator gets to read the last message.
constexpr Duration kGoodbyePatience = std::chrono::seconds(2);
constexpr uint64_t kSpecBytesMax = uint64_t{1} << 20;  // As of messages.

struct Flags {
  std::string coordinator;
  std::string name;
  std::string metrics;
  std::vector<std::string> data_roots;
  TlsFlags tls;
  uint32_t lanes = static_cast<uint32_t>(CoreCount());
  std::string memory_of;
  int64_t gpu_memory = 0;  // 0: of this machine's GPUs.
  LogOptions log;
};

using WorkerSession = Session<v1::WorkerMessage, v1::WorkerOrder>;

std::string DefaultName() {
  char host[41] = {};  // Names are limited.
  if (gethostname(host, sizeof(host) - 1) != 0) return fmt::format("worker-{}", getpid());
  return fmt::format("{}-{}", host, getpid());
}

WorkerSession::Options SessionOptions(const Flags& flags, const ChannelSecurity& security,
                                      WorkerMetrics* metrics) {
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(flags.coordinator, ChannelKind::kControl, security);
  WorkerSession::Options options;
  options.open = [stub = std::shared_ptr(v1::WorkerService::NewStub(channel))](
                     grpc::ClientContext* context) { return stub->Session(context); };
  std::random_device device;
  v1::RegisterWorker* hello = options.hello.mutable_register_();
  hello->set_name(flags.name);
  hello->set_incarnation(uint64_t{device()} << 32 | device());
  hello->set_numeric_class(NumericClassOfCpu());
  hello->set_lanes(flags.lanes);
  hello->set_version(DROVER_VERSION);
  options.heartbeat.mutable_heartbeat();
  options.on_retry = [metrics] { metrics->CountSessionRetry(); };
  return options;
}

Result<Transport> OpenTransport(const Flags& flags) {
  Result<Transport> transport = Transport::Open(flags.tls, {Role::kWorker});
  if (!transport.ok()) return transport.status();
  DROVER_RETURN_IF_ERROR(transport.value().CheckReach("--coordinator", flags.coordinator));
  return transport;
}

int RefuseToStart(const Status& status) {
  LogError("cannot start: {}", status.message());
  return kExitConfiguration;
}

// Ready when the coordinator knows us. Null without --metrics.
Result<std::unique_ptr<MetricsServer>> ServeMetrics(const std::string& address,
                                                    MetricRegistry* registry,
                                                    const WorkerSession& session) {
  if (address.empty()) return std::unique_ptr<MetricsServer>();
  registry
      ->GaugeOf(Metric::kBuildInfo, {DROVER_VERSION, std::string(kBuildRevision), "worker",
                                     grpc_version_string(), CudaOfBuild()})
      .Set(1);
  return MetricsServer::Start(address, *registry, [&session] {
    return session.connected() ? Status()
                               : Status(Code::kUnavailable, "not connected to the coordinator");
  });
}

// The first signal ends the program when the open lease has ended, a second one at once.
void AwaitSignals(EndSignals* signals, TrainLoop* loop, BoundedQueue<bool>* ended) {
  signals->Await();
  loop->Leave();
  (void)ended->Pop();
}

// What jobs may read here. On this machine everybody could read it himself; somebody on another one
// could have the worker look at anything.
Result<FileSystem*> OpenDataFiles(const Flags& flags, std::unique_ptr<DataFiles>* owner) {
  if (flags.data_roots.empty() && IsLoopback(flags.coordinator)) return &FileSystem::Real();
  Result<std::unique_ptr<DataFiles>> files = DataFiles::Open(flags.data_roots);
  if (!files.ok()) return files.status();
  *owner = std::move(files).value();
  return owner->get();
}

int Run(const Flags& flags, const Transport& transport, FileSystem* files, EndSignals* signals) {
  MetricRegistry registry(MetricRole::kWorker);
  ExportCertificateExpiry(flags.tls, &registry);
  WorkerMetrics metrics(&registry, flags.name);
  WorkerSession session(SessionOptions(flags, transport.channels(), &metrics));
  TrainLoop loop({flags.name,
                  [&session](v1::WorkerMessage message) { session.Send(std::move(message)); },
                  &metrics, GpusElseCpu(flags.lanes),
                  [files](const v1::JobSpec& spec) { return SetUpJobFrom(*files, spec); },
                  transport.channels()});
  Result<std::unique_ptr<MetricsServer>> exposition =
      ServeMetrics(flags.metrics, &registry, session);
  if (!exposition.ok()) return RefuseToStart(exposition.status().Annotate("--metrics"));
  LogStart(fmt::format("drover-worker {} serves {}", DROVER_VERSION, flags.coordinator),
           StartFacts({{"name", flags.name},
                       {"coordinator", flags.coordinator},
                       {"lanes", fmt::format("{}", flags.lanes)},
                       {"class", NumericClassOfCpu()},
                       {"tls", transport.Name()}},
                      exposition.value().get()));
  const std::unique_ptr<InsecureWarning> warning =
      WarnIfInsecure(flags.tls.insecure, {flags.coordinator});
  session.Start([&loop](v1::WorkerOrder order) { loop.OnOrder(std::move(order)); });
  BoundedQueue<bool> ended(1);
  Thread waiter("signals", [&] { AwaitSignals(signals, &loop, &ended); });
  loop.Run();  // Until a signal.
  session.Stop(kGoodbyePatience);
  ended.Close();
  return 0;
}

// Prints what the job in flags.memory_of needs of a GPU's memory.
int PrintMemory(const Flags& flags) {
  const Result<std::string> text = FileSystem::Real().ReadUserFile(flags.memory_of, kSpecBytesMax);
  v1::JobSpec spec;
  if (!text.ok() || !spec.ParseFromString(text.value())) {
    fmt::print(stderr, "--memory-of {}: {}\n", flags.memory_of,
               text.ok() ? "no JobSpec in protobuf's binary form" : text.status().message());
    return kExitConfiguration;
  }
  std::optional<size_t> free_bytes;
  if (flags.gpu_memory > 0) free_bytes = static_cast<size_t>(flags.gpu_memory);
  const Result<GpuMemoryReport> report = ReportGpuMemoryHere(spec, free_bytes);
  if (!report.ok()) {
    fmt::print(stderr, "--memory-of {}: {}\n", flags.memory_of, report.status().message());
    return 1;
  }
  fmt::print("{}\n", report.value().text);
  return report.value().fits ? 0 : kExitTooLittleMemory;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("drover-worker: computes gradients for the jobs of a Drover cluster");
  app.set_version_flag("--version", VersionText("drover-worker " DROVER_VERSION));
  AddCoordinatorFlag(&app, &flags.coordinator);
  AddNameFlag(&app, &flags.name);
  app.add_option("--data-root", flags.data_roots,
                 "Datasets of jobs are read in this folder only, which may be given several times; "
                 "default: anywhere if the coordinator is on this machine, else nowhere")
      ->type_name("DIR")
      ->take_all();
  AddMetricsFlag(&app, &flags.metrics);
  AddTlsFlags(&app, &flags.tls);
  AddLogFlags(&app, &flags.log);
  app.add_option("--lanes", flags.lanes, "Threads that compute, one leaf each, for jobs on the CPU")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  app.add_option("--memory-of", flags.memory_of,
                 "Print what a job needs of a GPU, the largest micro-batch that fits, and end, "
                 "with 3 if the job does not fit: a JobSpec, every default written out, in "
                 "protobuf's binary form; \"drover doctor --job\" asks so")
      ->type_name("FILE");
  AddGpuMemoryFlag(&app, "With --memory-of: of each GPU [what is free on this machine's]",
                   &flags.gpu_memory);
  const bool asks_only = std::any_of(argv, argv + argc, [](const char* argument) {
    return std::string_view(argument).starts_with("--memory-of");
  });
  if (asks_only) app.get_option("--coordinator")->required(false);
  if (const std::optional<int> code = ParseDaemonFlags(&app, argc, argv)) return *code;
  if (!flags.memory_of.empty()) return PrintMemory(flags);
  const std::string fallback = DefaultName();
  InitLogging("worker/" + (flags.name.empty() ? fallback : flags.name), flags.log);
  EndSignals signals;  // Before gRPC starts threads for the certificates.
  const Result<Transport> transport = OpenTransport(flags);
  if (!transport.ok()) return RefuseToStart(transport.status());
  Result<std::string> name = NodeName(flags.name, fallback, transport.value().facts().identity);
  if (!name.ok()) return RefuseToStart(name.status());
  flags.name = std::move(name).value();

  std::unique_ptr<DataFiles> data_files;
  const Result<FileSystem*> files = OpenDataFiles(flags, &data_files);
  if (!files.ok()) return RefuseToStart(files.status());

  return Run(flags, transport.value(), files.value(), &signals);
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) { return drover::Main(argc, argv); }
