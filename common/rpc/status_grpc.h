// Our Status to gRPC's and back. The codes have the same numbers. Thread-safe: functions only.

#ifndef DROVER_COMMON_RPC_STATUS_GRPC_H_
#define DROVER_COMMON_RPC_STATUS_GRPC_H_

#include <grpcpp/support/status.h>

#include "common/base/status.h"

namespace drover {

// Messages travel in metadata, which is limited: longer ones are cut and end in "...".
inline constexpr size_t kStatusMessageBytesMax = 2048;

grpc::Status ToGrpc(const Status& status);

// A code that we do not know becomes kUnknown.
Status FromGrpc(const grpc::Status& status);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_STATUS_GRPC_H_
