// The program drover-worker: computes gradients for whatever job the coordinator assigns.

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <random>
#include <string>

#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/config/flags.h"
#include "common/metrics/exposition.h"
#include "common/metrics/registry.h"
#include "common/rpc/channel.h"
#include "common/rpc/session.h"
#include "proto/drover/v1/worker.grpc.pb.h"
#include "worker/nn/numeric_class.h"
#include "worker/train/train_loop.h"
#include "worker/train/worker_metrics.h"

namespace drover {
namespace {

struct Flags {
  std::string coordinator;
  std::string name;
  std::string metrics;
  uint32_t lanes = static_cast<uint32_t>(CoreCount());
  LogLevel log_level = LogLevel::kInfo;
};

using WorkerSession = Session<v1::WorkerMessage, v1::WorkerOrder>;

uint64_t NewIncarnation() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

std::string DefaultName() {
  char host[64] = {};
  if (gethostname(host, sizeof(host) - 1) != 0) return fmt::format("worker-{}", getpid());
  return fmt::format("{}-{}", host, getpid());
}

v1::WorkerMessage Hello(const Flags& flags) {
  v1::WorkerMessage hello;
  v1::RegisterWorker* registration = hello.mutable_register_();
  registration->set_name(flags.name);
  registration->set_incarnation(NewIncarnation());
  registration->set_numeric_class(NumericClassOfCpu());
  registration->set_lanes(flags.lanes);
  registration->set_version(DROVER_VERSION);
  return hello;
}

void Serve(const Flags& flags, MetricRegistry* registry, sigset_t* signals) {
  WorkerMetrics metrics(registry, flags.name);
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(flags.coordinator, ChannelKind::kControl);
  const std::unique_ptr<v1::WorkerService::Stub> stub = v1::WorkerService::NewStub(channel);
  WorkerSession::Options options;
  options.open = [&stub](grpc::ClientContext* context) { return stub->Session(context); };
  options.hello = Hello(flags);
  WorkerSession session(std::move(options));
  TrainLoop loop({flags.name, flags.lanes,
                  [&session](v1::WorkerMessage message) { session.Send(std::move(message)); },
                  &metrics});
  session.Start([&loop](v1::WorkerOrder order) { loop.OnOrder(std::move(order)); });

  Thread waiter("signals", [signals, &loop] {
    int signal = 0;
    sigwait(signals, &signal);
    LogInfo("signal {}: finishing the open lease", signal);
    loop.Leave();
  });
  loop.Run();
  session.Stop(std::chrono::seconds(2));
  // The loop ends only on a signal, so the waiter is done too.
}

int Main(int argc, char** argv) {
  Flags flags;
  flags.name = DefaultName();
  CLI::App app("drover-worker: computes gradients for the jobs of a Drover cluster");
  AddCoordinatorFlag(&app, &flags.coordinator);
  AddNameFlag(&app, &flags.name);
  AddMetricsFlag(&app, &flags.metrics);
  AddLogLevelFlag(&app, &flags.log_level);
  app.add_option("--lanes", flags.lanes, "Threads that compute, one leaf each")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  if (const std::optional<int> code = ParseDaemonFlags(&app, argc, argv)) return *code;
  InitLogging("worker/" + flags.name, flags.log_level);

  // Blocked before any thread starts, so that only the waiter sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  MetricRegistry registry(MetricRole::kWorker);
  std::unique_ptr<MetricsServer> exposition;
  if (!flags.metrics.empty()) {
    registry.GaugeOf(Metric::kBuildInfo, {DROVER_VERSION, "", "worker", grpc_version_string(), ""})
        .Set(1);
    Result<std::unique_ptr<MetricsServer>> started =
        MetricsServer::Start(flags.metrics, registry, [] { return Status(); });
    if (!started.ok()) {
      LogError("--metrics: {}", started.status().message());
      return kExitConfiguration;
    }
    exposition = std::move(started).value();
  }
  LogInfo("drover-worker {} name={} coordinator={} lanes={} metrics_port={} class=\"{}\"",
          DROVER_VERSION, flags.name, flags.coordinator, flags.lanes,
          exposition == nullptr ? 0 : exposition->port(), NumericClassOfCpu());
  Serve(flags, &registry, &signals);
  return 0;
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) { return drover::Main(argc, argv); }
