// A coordinator in this process: real services, runtime and job store behind a real port with
// mutual TLS. One thread, but for what its parts say.

#ifndef DROVER_TESTS_BAD_INPUT_CONTROL_SERVER_H_
#define DROVER_TESTS_BAD_INPUT_CONTROL_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/tls/identity.h"
#include "server/coordinator/peer_sessions.h"
#include "tests/bad_input/client.h"

namespace drover::bad_input {

class World;

class ControlServer {
 public:
  struct Options {
    // The clock of sessions and jobs; null: the machine's.
    const Clock* clock = nullptr;
    int64_t jobs_per_owner = 100;
    PeerSessions::Limits sessions = {};
  };
  // What it has counted goes to `world` when it ends, which outlives it.
  ControlServer(World* world, const std::string& name, const Options& options);
  explicit ControlServer(World* world);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  int port() const;
  // A client of its own connection.
  Client As(Role role, const std::string& name = "x") const;
  // Cuts off peers that have been silent for too long, as of now.
  void CloseSilent();
  size_t sessions() const;
  // Its metrics as text.
  std::string Metrics() const;

 private:
  struct Parts;
  World* const world_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_CONTROL_SERVER_H_
