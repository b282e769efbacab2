// A job that goes on while others misbehave: a shard, and a worker whose gradients are a pure
// function of step and leaf, so that its weights after so many steps are known whatever happens
// around it. Moves only when told to. One thread; the streams have theirs.

#ifndef DROVER_TESTS_BAD_INPUT_VICTIM_H_
#define DROVER_TESTS_BAD_INPUT_VICTIM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "common/tensor/layout.h"

namespace drover::bad_input {

class ControlServer;
class World;

// Of its model.
std::shared_ptr<const Layout> VictimLayout();

class Victim {
 public:
  // Submits the job to `coordinator` and waits for its first weights.
  Victim(World* world, ControlServer* coordinator);
  ~Victim();
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  // One more step. The checksum of the weights after it; 0 when it did not come to its end in time.
  // Nothing that the worker said is on its way then.
  uint32_t Step();

  // What an attacker who knows everything would know.
  uint64_t job() const;
  uint32_t epoch() const;
  int64_t step() const;  // The open one.
  uint64_t layout_hash() const;
  std::string id() const;  // Of the job, as users write it.
  uint64_t last_lease() const;
  int shard_port() const;
  std::string Metrics() const;  // Of its shard, as text.

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_VICTIM_H_
