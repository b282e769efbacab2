#include "common/rpc/server_metrics.h"

#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_interceptor.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace drover {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;

const char* TypeName(ServerRpcInfo::Type type) {
  switch (type) {
    case ServerRpcInfo::Type::UNARY:
      return "unary";
    case ServerRpcInfo::Type::CLIENT_STREAMING:
      return "client_stream";
    case ServerRpcInfo::Type::SERVER_STREAMING:
      return "server_stream";
    case ServerRpcInfo::Type::BIDI_STREAMING:
      return "bidi_stream";
  }
  return "unknown";
}

// As gRPC for Go writes them, whose metrics these names come from.
const char* CodeLabel(grpc::StatusCode code) {
  constexpr std::array<const char*, 17> kNames = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "Unknown";
}

// One call.
class CallCounter final : public Interceptor {
 public:
  CallCounter(MetricRegistry* registry, const ServerRpcInfo& info)
      : registry_(registry), type_(TypeName(info.type())), begin_(Clock::Real().Now()) {
    const std::string_view path = info.method();  // "/package.Service/Method".
    const size_t slash = path.rfind('/');
    service_ = path.substr(1, slash - 1);
    method_ = path.substr(slash + 1);
    in_flight_ = registry_->GaugeOf(Metric::kGrpcServerInFlightRpcs, {service_, method_});
    in_flight_.Add(1);
  }
  ~CallCounter() override {
    if (!handled_) Handled(grpc::StatusCode::CANCELLED);  // The peer was gone before the end.
    in_flight_.Add(-1);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      Handled(methods->GetSendStatus().error_code());
    }
    methods->Proceed();
  }

 private:
  void Handled(grpc::StatusCode code) {
    handled_ = true;
    registry_
        ->CounterOf(Metric::kGrpcServerHandledTotal, {type_, service_, method_, CodeLabel(code)})
        .Increment();
    registry_->HistogramOf(Metric::kGrpcServerHandlingSeconds, {type_, service_, method_})
        .Observe(Seconds(Clock::Real().Now() - begin_));
  }

  MetricRegistry* const registry_;
  const std::string type_;
  const Instant begin_;
  std::string service_;
  std::string method_;
  Gauge in_flight_;
  bool handled_ = false;
};

class CallCounters final : public ServerInterceptorFactoryInterface {
 public:
  explicit CallCounters(MetricRegistry* registry) : registry_(registry) {}
  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    return new CallCounter(registry_, *info);
  }

 private:
  MetricRegistry* const registry_;
};

}  // namespace

void CountCalls(MetricRegistry* registry, grpc::ServerBuilder* builder) {
  std::vector<std::unique_ptr<ServerInterceptorFactoryInterface>> creators;
  creators.push_back(std::make_unique<CallCounters>(registry));
  builder->experimental().SetInterceptorCreators(std::move(creators));
}

}  // namespace drover
