// One call of grpc.health.v1.Health.Check, for probes. Thread-safe.

#ifndef DROVER_COMMON_RPC_HEALTH_CLIENT_H_
#define DROVER_COMMON_RPC_HEALTH_CLIENT_H_

#include <chrono>
#include <string>

#include "common/base/status.h"
#include "common/rpc/channel_security.h"

namespace drover {

// OK when the server at `address` says that it serves; kUnavailable when it says that it does not,
// or does not answer.
Status CheckHealth(const std::string& address, std::chrono::milliseconds timeout,
                   const ChannelSecurity& security = {});

}  // namespace drover

#endif  // DROVER_COMMON_RPC_HEALTH_CLIENT_H_
