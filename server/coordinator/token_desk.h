// The keys of the jobs' data planes and the tokens of the workers that serve them (job_token.h): a
// random key for each epoch of a job, which its shards get when they are placed; a token for each
// assignment; and a newer one before that runs out. Nothing of it is stored: a coordinator that
// starts again begins a new epoch. Not thread-safe: CoordinatorRuntime owns it.

#ifndef DROVER_SERVER_COORDINATOR_TOKEN_DESK_H_
#define DROVER_SERVER_COORDINATOR_TOKEN_DESK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/coordinator/coordinator_events.h"

namespace drover {

class TokenDesk {
 public:
  // `new_key` makes kJobKeyBytes that nobody can guess.
  explicit TokenDesk(std::function<std::string()> new_key) : new_key_(std::move(new_key)) {}

  // Who is behind a session, and when nobody is any more; which jobs are gone. The rest is not
  // looked at.
  void OnEvent(const CoordinatorEvent& event);

  // Another one than that of any other job or epoch.
  const std::string& KeyOf(uint64_t job, uint32_t epoch);

  // To push and pull, for the worker behind the session; empty when it has left. It is renewed
  // until the next one, or until EndGrant.
  std::string Grant(SessionId session, uint64_t job, uint32_t epoch, int64_t now_unix_s);
  void EndGrant(SessionId session, uint64_t job);

  struct Renewal {
    SessionId session;
    uint64_t job;
    uint32_t epoch;
    std::string token;
  };
  // To be sent: of grants that are older than kJobTokenRenewSeconds and not void.
  std::vector<Renewal> Renew(int64_t now_unix_s);

 private:
  struct EpochKey {
    uint32_t epoch = 0;
    std::string key;
  };
  struct Granted {
    uint64_t job = 0;
    uint32_t epoch = 0;
    int64_t at_unix_s = 0;
  };
  struct Worker {
    std::string name;
    std::optional<Granted> granted;
  };

  const std::function<std::string()> new_key_;
  std::map<uint64_t, EpochKey> keys_;  // By job.
  std::map<SessionId, Worker> workers_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_TOKEN_DESK_H_
