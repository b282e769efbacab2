// A registered worker at the coordinator of the victim that says whatever a case wants. One thread.

#ifndef DROVER_TESTS_BAD_INPUT_ROGUE_H_
#define DROVER_TESTS_BAD_INPUT_ROGUE_H_

#include <memory>
#include <string>

#include "common/tensor/layout.h"
#include "proto/drover/v1/worker.pb.h"
#include "tests/bad_input/client.h"
#include "tests/bad_input/world.h"

namespace drover::bad_input {

v1::WorkerMessage RegisterMessage(const std::string& name);
// Of the open step of the victim's job.
v1::WorkerMessage DoneMessage(World& world, uint64_t lease);
v1::WorkerMessage FailedMessage(World& world, uint64_t lease);
// As the victim's worker describes its model, but for the layout.
v1::WorkerMessage DescribeMessage(World& world, const Layout& layout);

class Rogue {
 public:
  // Registers, and waits until it has been given the victim's job.
  explicit Rogue(World& world, const std::string& name = "rogue");

  bool Say(const v1::WorkerMessage& message);
  v1::WorkerOrder Read();
  // Leaves; the server's last word. What was said before has then been heard.
  Status Leave();
  // The server's last word after this message, which should end the stream.
  Status EndAfter(const v1::WorkerMessage& message);

 private:
  const Client client_;
  const std::unique_ptr<Stream> stream_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_ROGUE_H_
