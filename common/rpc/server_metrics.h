// Calls of a gRPC server in the metrics of its process, under the names that public dashboards
// know: grpc_server_handled_total, grpc_server_handling_seconds, grpc_server_in_flight_rpcs. A
// stream counts as one call, handled when it ends. Thread-safe.

#ifndef DROVER_COMMON_RPC_SERVER_METRICS_H_
#define DROVER_COMMON_RPC_SERVER_METRICS_H_

#include "common/metrics/registry.h"

namespace grpc {
class ServerBuilder;
}  // namespace grpc

namespace drover {

// Before BuildAndStart. The registry outlives the server. Calls that are refused for their
// credentials do not get so far: drover_auth_failures_total counts those.
void CountCalls(MetricRegistry* registry, grpc::ServerBuilder* builder);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_SERVER_METRICS_H_
