// The data plane of a shard in this process, behind a real port with mutual TLS. What the shard
// holds is the caller's. One thread.

#ifndef DROVER_TESTS_BAD_INPUT_DATA_SERVER_H_
#define DROVER_TESTS_BAD_INPUT_DATA_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/rpc/transport.h"
#include "server/step_messages.h"
#include "tests/bad_input/client.h"

namespace drover {
class MetricRegistry;
struct HostedJob;
}  // namespace drover

namespace drover::bad_input {

class World;

class DataServer {
 public:
  using FindJob = std::function<std::shared_ptr<HostedJob>(uint64_t job)>;

  // All, and what `find` needs, outlive it.
  DataServer(World* world, const std::string& name, FindJob find, MetricRegistry* registry);
  ~DataServer();
  DataServer(const DataServer&) = delete;
  DataServer& operator=(const DataServer&) = delete;

  // To be told of every order before the runtime: it brings the keys of tokens.
  void OnOrder(const ShardOrder& order);

  int port() const;
  const Transport& transport() const;
  // A client with a certificate of a worker.
  Client As(const std::string& worker) const;

 private:
  struct Parts;
  World* const world_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_DATA_SERVER_H_
