// The yardstick of `drover bench wire`: plain blocking sockets that move the same chunks and do the
// same arithmetic (checksum, range check, fixed point sums, mean), written as well as we can.

#ifndef DROVER_SERVER_CLI_WIRE_TCP_H_
#define DROVER_SERVER_CLI_WIRE_TCP_H_

#include <memory>

#include "common/base/status.h"
#include "server/cli/wire_load.h"

namespace drover {

// `load` must outlive it. kUnavailable when no port can be opened on loopback.
Result<std::unique_ptr<WireTransport>> MakeTcpTransport(const WireLoad* load, int channels);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_WIRE_TCP_H_
