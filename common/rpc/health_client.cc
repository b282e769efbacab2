#include "common/rpc/health_client.h"

#include <fmt/format.h>
#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/impl/codegen/rpc_method.h>
#include <grpcpp/support/byte_buffer.h>

#include <vector>

#include "common/rpc/channel.h"
#include "common/rpc/status_grpc.h"

namespace drover {
namespace {

constexpr char kCheckMethod[] = "/grpc.health.v1.Health/Check";

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace

Status CheckHealth(const std::string& address, std::chrono::milliseconds timeout,
                   const ChannelSecurity& security) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(address, ChannelKind::kUser, security);
  grpc::ClientContext context;
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_millis(timeout.count(), GPR_TIMESPAN)));
  // Both messages are too small for a dependency: the request "whole server" is empty, and the
  // answer SERVING is field 1, varint 1.
  const grpc::ByteBuffer request(nullptr, 0);
  grpc::ByteBuffer response;
  const grpc::internal::RpcMethod method(kCheckMethod, grpc::internal::RpcMethod::NORMAL_RPC,
                                         channel);
  const Status called =
      FromGrpc(grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer,
                                                 grpc::ByteBuffer, grpc::ByteBuffer>(
          channel.get(), method, &context, request, &response));
  if (!called.ok()) return called.Annotate("health of " + address);
  if (BytesOf(response) == std::string("\x08\x01")) return Status();
  return Status(Code::kUnavailable, fmt::format("{} answers, but does not serve", address));
}

}  // namespace drover
