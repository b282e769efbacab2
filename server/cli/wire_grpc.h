// The product's way of moving a WireLoad: gRPC streams, our frames, the shard's accumulator.

#ifndef DROVER_SERVER_CLI_WIRE_GRPC_H_
#define DROVER_SERVER_CLI_WIRE_GRPC_H_

#include <memory>

#include "common/base/status.h"
#include "server/cli/wire_load.h"

namespace drover {

class WireTls;

// `load`, and `tls` unless it is null (plain text), must outlive it. kUnavailable when no port can
// be opened on loopback.
Result<std::unique_ptr<WireTransport>> MakeGrpcTransport(const WireLoad* load, const WireTls* tls,
                                                         int channels);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_WIRE_GRPC_H_
