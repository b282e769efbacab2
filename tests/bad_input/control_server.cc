#include "tests/bad_input/control_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "common/base/file_system.h"
#include "common/rpc/channel.h"
#include "common/rpc/transport.h"
#include "server/coordinator/coordinator_metrics.h"
#include "server/coordinator/coordinator_runtime.h"
#include "server/coordinator/job_service.h"
#include "server/coordinator/job_store.h"
#include "server/coordinator/shard_service.h"
#include "server/coordinator/worker_service.h"
#include "tests/bad_input/world.h"

namespace drover::bad_input {
namespace {

// As main.cc has it.
JobService::Caller CallerOf(const grpc::ServerContextBase& context) {
  JobService::Caller caller;
  caller.text = DescribeCaller(context, nullptr);
  const std::optional<Identity> identity = CallerIdentity(context, nullptr);
  if (!identity.has_value()) return caller;
  caller.owner = ToString(*identity);
  caller.sees_all = identity->role != Role::kSubmitter;
  return caller;
}

CoordinatorOptions RuntimeOptions(const std::string& folder) {
  CoordinatorOptions options;
  options.checkpoint_directory = folder + "/checkpoints";
  return options;
}

std::unique_ptr<JobStore> OpenStore(const std::string& folder) {
  std::filesystem::create_directories(folder + "/checkpoints");
  Result<std::unique_ptr<JobStore>> store = JobStore::Open(folder + "/jobs.sqlite");
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return std::move(store).value();
}

}  // namespace

// In the order in which server/coordinator/main.cc makes them.
struct ControlServer::Parts {
  Parts(const std::string& folder, const Options& options)
      : clock(options.clock == nullptr ? &Clock::Real() : options.clock),
        store(OpenStore(folder)),
        metrics(&registry, clock),
        sessions(options.sessions),
        runtime(RuntimeOptions(folder), {store.get(), &FileSystem::Real(), clock, &sessions,
                                         &metrics, options.jobs_per_owner}),
        refusals(*clock) {}

  void CountRefusal(AuthFailure failure) {
    registry.CounterOf(Metric::kAuthFailuresTotal, {AuthFailureName(failure)}).Increment();
  }
  void CountMalformed() {
    registry.CounterOf(Metric::kRefusedMessagesTotal, {"unknown", "malformed"}).Increment();
  }
  void CountSubmission(const char* outcome) {
    registry.CounterOf(Metric::kJobSubmissionsTotal, {outcome}).Increment();
  }

  const Clock* clock;
  std::unique_ptr<JobStore> store;
  MetricRegistry registry{MetricRole::kCoordinator};
  CoordinatorMetrics metrics;
  PeerSessions sessions;
  CoordinatorRuntime runtime;
  RefusalLog refusals;
  PeerHost host = {&runtime,
                   &sessions,
                   clock,
                   &refusals,
                   [this](AuthFailure failure) { CountRefusal(failure); },
                   [this] { CountMalformed(); }};
  WorkerService workers{host};
  ShardService shards{host};
  JobService jobs{&runtime, [this](const char* outcome) { CountSubmission(outcome); }, CallerOf};
  Transport transport;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

ControlServer::ControlServer(World* world) : ControlServer(world, "lab", {}) {}

ControlServer::ControlServer(World* world, const std::string& name, const Options& options)
    : world_(world) {
  parts_ = std::make_unique<Parts>(world->NewFolder(name), options);
  Parts& parts = *parts_;
  Result<Transport> transport =
      Transport::Open(world->pki().ServerFiles({Role::kCoordinator, name}), {Role::kCoordinator});
  EXPECT_TRUE(transport.ok()) << transport.status().ToString();
  parts.transport = std::move(transport).value();
  EXPECT_TRUE(parts.runtime.Start().ok());
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, ServerKind::kControl);
  const auto count = [&parts](AuthFailure failure) { parts.CountRefusal(failure); };
  builder.AddListeningPort("127.0.0.1:0", parts.transport.MakeServerCredentials({nullptr, count}),
                           &parts.port);
  builder.RegisterService(&parts.jobs);
  builder.RegisterService(&parts.workers);
  builder.RegisterService(&parts.shards);
  parts.server = builder.BuildAndStart();
  EXPECT_NE(parts.server, nullptr);
}

ControlServer::~ControlServer() {
  parts_->runtime.Stop();
  parts_->jobs.StopWatchers();
  parts_->sessions.CloseAll("the test is over");
  parts_->server->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  world_->Keep(parts_->registry.Render());
}

int ControlServer::port() const { return parts_->port; }

Client ControlServer::As(Role role, const std::string& name) const {
  return Client(parts_->port, world_->pki().authority(), world_->pki().Issue({role, name}));
}

void ControlServer::CloseSilent() { parts_->sessions.CloseSilent(parts_->clock->Now()); }

size_t ControlServer::sessions() const { return parts_->sessions.size(); }

std::string ControlServer::Metrics() const { return parts_->registry.Render(); }

}  // namespace drover::bad_input
