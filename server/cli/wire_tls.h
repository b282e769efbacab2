// Certificates for both ends of `drover bench wire`, made for one run: ECDSA keys on P-256 as
// `drover certs init` makes them, in a private folder that goes with the object. Not thread-safe.

#ifndef DROVER_SERVER_CLI_WIRE_TLS_H_
#define DROVER_SERVER_CLI_WIRE_TLS_H_

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/rpc/transport.h"

namespace drover {

class WireTls {
 public:
  // kUnknown when no temporary folder can be made.
  static Result<std::unique_ptr<WireTls>> Make();
  ~WireTls();
  WireTls(const WireTls&) = delete;
  WireTls& operator=(const WireTls&) = delete;

  const Transport& shard() const { return shard_; }
  const Transport& worker() const { return worker_; }

 private:
  explicit WireTls(std::string directory) : directory_(std::move(directory)) {}

  const std::string directory_;
  Transport shard_;
  Transport worker_;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_WIRE_TLS_H_
