#include "common/rpc/status_grpc.h"

#include <string>

namespace drover {

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message = status.message();
  if (message.size() > kStatusMessageBytesMax) {
    message.resize(kStatusMessageBytesMax - 3);
    message += "...";
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return Status();
  const int code = status.error_code();
  if (code < 0 || code > static_cast<int>(Code::kUnauthenticated)) {
    return Status(Code::kUnknown, status.error_message());
  }
  return Status(static_cast<Code>(code), status.error_message());
}

}  // namespace drover
