#include "common/rpc/server_metrics.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/rpc/channel.h"
#include "proto/drover/v1/job.grpc.pb.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

class SomeService final : public v1::JobService::Service {
 public:
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::GetJobResponse*) override {
    if (request->job() == "a") return grpc::Status::OK;
    return grpc::Status(grpc::NOT_FOUND, "no such job");
  }
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    for (int i = 0; i < 3; ++i) writer->Write(v1::JobEvent());
    return grpc::Status::OK;
  }
};

TEST(ServerMetricsTest, CallsAreCountedWhenTheyEnd) {
  MetricRegistry registry(MetricRole::kCoordinator);
  SomeService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  CountCalls(&registry, &builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  v1::JobService::Stub stub(MakeChannel("127.0.0.1:" + std::to_string(port), ChannelKind::kUser));

  for (const char* job : {"a", "a", "b"}) {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_job(job);
    v1::GetJobResponse response;
    (void)stub.GetJob(&context, request, &response);
  }
  grpc::ClientContext context;
  const auto reader = stub.WatchJob(&context, v1::WatchJobRequest());
  int events = 0;
  for (v1::JobEvent event; reader->Read(&event);) ++events;
  EXPECT_TRUE(reader->Finish().ok());
  server->Shutdown();

  EXPECT_EQ(events, 3);
  const std::string text = registry.Render();
  const std::string service_label = R"(grpc_service="drover.v1.JobService")";
  const auto handled = [&](const char* code, const char* method, const char* type) {
    return std::string(R"(grpc_server_handled_total{grpc_code=")") + code + R"(",grpc_method=")" +
           method + "\"," + service_label + R"(,grpc_type=")" + type + "\"}";
  };
  EXPECT_THAT(text, HasSubstr(handled("OK", "GetJob", "unary") + " 2\n"));
  EXPECT_THAT(text, HasSubstr(handled("NotFound", "GetJob", "unary") + " 1\n"));
  EXPECT_THAT(text, HasSubstr(handled("OK", "WatchJob", "server_stream") + " 1\n"));
  EXPECT_THAT(text, HasSubstr(R"(grpc_server_handling_seconds_count{grpc_method="GetJob",)" +
                              service_label + R"(,grpc_type="unary"} 3)"));
  EXPECT_THAT(text, HasSubstr(R"(grpc_server_in_flight_rpcs{grpc_method="GetJob",)" +
                              service_label + "} 0\n"));
}

}  // namespace
}  // namespace drover
