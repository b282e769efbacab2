// `drover bench wire`: how fast gradients and weights move between a worker and a shard on this
// machine, in plain text and over mutual TLS, beside plain sockets doing the same work. Uses the
// real frames, streams and accumulator. Runs alone in its process; one thread.

#ifndef DROVER_SERVER_CLI_WIRE_BENCH_H_
#define DROVER_SERVER_CLI_WIRE_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

struct WireBenchOptions {
  std::vector<int64_t> sizes_bytes = {int64_t{64} << 20, int64_t{256} << 20, int64_t{1} << 30};
  std::vector<int> channels = {1, 2};
  int repeats = 5;        // Interleaved: ours, with TLS, twin, ours, ...; medians.
  std::string json_path;  // Empty: no file.
};

// Prints a table on stdout. kUnavailable when a socket cannot be opened.
Status RunWireBench(const WireBenchOptions& options);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_WIRE_BENCH_H_
