// A whole cluster on this machine: real child processes of the real programs, talking gRPC over
// loopback. Starts them, starts again what dies, stops them in order. Knows nothing of jobs. Main
// thread only: children are bound to the thread that starts them.
//
// Under the state directory:
//   coordinator/ shard-K/   what these processes keep
//   run/ROLE.pid            process numbers, for tests that kill
//   run/coordinator.port    "HOST:PORT\n", written by the coordinator when it listens
//   run/lock                held while a cluster runs here
//   logs/ROLE.log           output of each process, over all its lives

#ifndef DROVER_SERVER_CLI_LOCAL_CLUSTER_H_
#define DROVER_SERVER_CLI_LOCAL_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/cli/child_process.h"
#include "server/cli/restart_policy.h"

namespace drover {

struct LocalClusterOptions {
  std::string program_dir;  // Where drover-coordinator, drover-shard and drover-worker are.
  std::string state_dir;    // Absolute; exists.
  int workers = 2;
  int shards = 2;
  int lanes = 1;  // Per worker.
  std::string log_level = "info";
  std::function<bool()> interrupted;              // Ends waits; may be null.
  std::function<void(const std::string&)> notes;  // "worker-0 was restarted ..."; may be null.
};

// The folder of the running program.
Result<std::string> ProgramDirectory();

class LocalCluster {
 public:
  // Returns when the coordinator listens; shards and workers are on their way then. kCancelled when
  // interrupted. Errors quote the end of the log of what failed.
  static Result<std::unique_ptr<LocalCluster>> Start(LocalClusterOptions options);
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  const std::string& coordinator_address() const { return coordinator_address_; }
  int64_t workers_lost() const { return workers_lost_; }
  int64_t shards_restarted() const { return shards_restarted_; }

  // Reaps and restarts. Call often. An error, which sticks, when a process cannot be kept alive.
  Status Tend();

  // SIGTERM to all, SIGKILL to who is still there after a grace.
  void Stop();

  // Role, process, log file: one line each, for people.
  std::string Table(bool color) const;

 private:
  enum class Kind { kCoordinator, kShard, kWorker };
  struct Role {
    Kind kind;
    std::string name;
    ChildProcess process;
    RestartPolicy policy;
    std::optional<Instant> start_at;  // Dead, to be started then.
  };

  explicit LocalCluster(LocalClusterOptions options);
  Status Lock();
  Status StartCoordinator();
  Status StartRole(Role* role);
  Status HandleDeath(Role* role, int wait_status, Instant now);
  Status GiveUp(const Role& role, int wait_status);
  std::vector<std::string> ArgumentsOf(const Role& role) const;
  void StopKinds(const std::vector<Kind>& kinds, Duration grace);
  std::string LogPath(const Role& role) const;
  std::string RunPath(const std::string& name) const;
  void Note(const std::string& text) const;

  const LocalClusterOptions options_;
  std::vector<Role> roles_;  // The coordinator first.
  std::string coordinator_address_;
  int lock_fd_ = -1;
  int64_t workers_lost_ = 0;
  int64_t shards_restarted_ = 0;
  Status failure_;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_LOCAL_CLUSTER_H_
