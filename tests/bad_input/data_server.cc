#include "tests/bad_input/data_server.h"

#include <grpc/grpc.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <utility>

#include "common/metrics/registry.h"
#include "common/rpc/channel.h"
#include "server/shard/tensor_service.h"
#include "server/shard/token_gate.h"
#include "tests/bad_input/world.h"

namespace drover::bad_input {

struct DataServer::Parts {
  Parts(TensorService::FindJob find, MetricRegistry* counters)
      : registry(counters), service(Clock::Real(), std::move(find), &gate) {}

  void CountRefusal(AuthFailure failure) {
    registry->CounterOf(Metric::kAuthFailuresTotal, {AuthFailureName(failure)}).Increment();
  }

  MetricRegistry* const registry;
  Transport transport;
  TokenGate gate{Clock::Real(), [this](AuthFailure failure) { CountRefusal(failure); }};
  TensorService service;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

DataServer::DataServer(World* world, const std::string& name, FindJob find,
                       MetricRegistry* registry)
    : world_(world), parts_(std::make_unique<Parts>(std::move(find), registry)) {
  Result<Transport> transport =
      Transport::Open(world->pki().ServerFiles({Role::kShard, name}), {Role::kShard});
  EXPECT_TRUE(transport.ok()) << transport.status().ToString();
  parts_->transport = std::move(transport).value();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, ServerKind::kData);
  const auto count = [this](AuthFailure failure) { parts_->CountRefusal(failure); };
  builder.AddListeningPort("127.0.0.1:0", parts_->transport.MakeServerCredentials({nullptr, count}),
                           &parts_->port);
  builder.RegisterService(&parts_->service);
  parts_->server = builder.BuildAndStart();
  EXPECT_NE(parts_->server, nullptr);
}

DataServer::~DataServer() { parts_->server->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME)); }

void DataServer::OnOrder(const ShardOrder& order) { parts_->gate.OnOrder(order); }

int DataServer::port() const { return parts_->port; }

const Transport& DataServer::transport() const { return parts_->transport; }

Client DataServer::As(const std::string& worker) const {
  return Client(parts_->port, world_->pki().authority(),
                world_->pki().Issue({Role::kWorker, worker}));
}

}  // namespace drover::bad_input
