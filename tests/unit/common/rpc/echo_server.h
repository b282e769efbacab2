// A server that sends every message back, configured as our programs are; for tests of channels and
// streams. One per test.

#ifndef DROVER_TESTS_UNIT_COMMON_RPC_ECHO_SERVER_H_
#define DROVER_TESTS_UNIT_COMMON_RPC_ECHO_SERVER_H_

#include <grpc/support/time.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/tensor_stream.h"

namespace drover {

class EchoService : public TensorServiceBase {
 public:
  grpc::Status Exchange(grpc::ServerContext* context, TensorServerStream* stream) override {
    {
      MutexLock lock(&mutex_);
      peers_.push_back(context->peer());
      const auto worker = context->client_metadata().find("drover-worker");
      if (worker != context->client_metadata().end()) {
        workers_.emplace_back(worker->second.data(), worker->second.size());
      }
    }
    grpc::ByteBuffer message;
    while (stream->Read(&message)) {
      if (!stream->Write(message)) break;
    }
    return grpc::Status(grpc::StatusCode::ABORTED, "echo is over");
  }

  std::vector<std::string> peers() {
    MutexLock lock(&mutex_);
    return peers_;
  }
  std::vector<std::string> workers() {
    MutexLock lock(&mutex_);
    return workers_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> peers_ DROVER_GUARDED_BY(mutex_);
  std::vector<std::string> workers_ DROVER_GUARDED_BY(mutex_);
};

class EchoServer {
 public:
  // Port 0 picks a free one. `started()` is false when the port is taken.
  explicit EchoServer(ServerKind kind, int port = 0) {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, kind);
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~EchoServer() {
    if (server_ != nullptr) server_->Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
  }

  bool started() const { return server_ != nullptr && port_ != 0; }
  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  EchoService* service() { return &service_; }

 private:
  EchoService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_COMMON_RPC_ECHO_SERVER_H_
