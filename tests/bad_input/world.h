// What stays the same while a hundred bad inputs come: certificates, a coordinator and a shard that
// train the victim, a job that none of them may touch, and a user who asks all the time and must
// always be answered. One thread, that of the test; the rest is inside.

#ifndef DROVER_TESTS_BAD_INPUT_WORLD_H_
#define DROVER_TESTS_BAD_INPUT_WORLD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bad_input/case.h"
#include "tests/bad_input/client.h"
#include "tests/bad_input/pki.h"

namespace drover::bad_input {

class ControlServer;
class Victim;

class World {
 public:
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const Pki& pki() const { return *pki_; }
  // An empty one, gone with the world.
  std::string NewFolder(const std::string& name);

  // The coordinator and the shard of the victim: what cases send to.
  ControlServer& coordinator() { return *coordinator_; }
  Victim& victim() { return *victim_; }
  int shard_port() const;

  // The counters of a server that has ended.
  void Keep(const std::string& metrics);
  // All counters of refusals, of servers that live and that have ended.
  Counts Refusals() const;

 private:
  const std::string folder_;
  int folders_ = 0;
  std::unique_ptr<Pki> pki_;
  std::unique_ptr<ControlServer> coordinator_;
  std::unique_ptr<Victim> victim_;
  Counts kept_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_WORLD_H_
