// Who may open a stream to this shard: whoever shows a token of a job that is placed here, of its
// present epoch, for his own name. Knows the keys of jobs and asks nobody. Everything that is
// refused is counted and goes to the audit log. Thread-safe.

#ifndef DROVER_SERVER_SHARD_TOKEN_GATE_H_
#define DROVER_SERVER_SHARD_TOKEN_GATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/refusal_log.h"
#include "common/tls/identity.h"
#include "common/tls/job_token.h"
#include "server/step_messages.h"

namespace drover {

class TokenGate {
 public:
  // A worker has one, and for a moment another after a break.
  static constexpr int kStreamsPerWorkerMax = 8;

  // The clock lives longer. `on_refused` may be empty.
  explicit TokenGate(const Clock& clock, std::function<void(AuthFailure)> on_refused = nullptr);

  // A PlaceOrder brings the key of a job's epoch, a ReleaseOrder takes it away; the rest is not
  // looked at. Before the order is carried out, so that no worker comes too early.
  void OnOrder(const ShardOrder& order) DROVER_EXCLUDES(mutex_);

  // As a stream begins, before anything is read from it.
  struct Visitor {
    std::vector<std::string> tokens;      // As shown: exactly one is right.
    std::string worker;                   // The name it gives.
    std::optional<Identity> certificate;  // Nobody without TLS.
    std::string peer;                     // Address, for the audit log.
  };
  // What the token allows; Leave follows when the stream is over. kResourceExhausted: this worker
  // has kStreamsPerWorkerMax streams already. kUnauthenticated: no token, no good one, or one that
  // has run out. kPermissionDenied: a good one of somebody else, of another epoch or of a job that
  // is not here.
  Result<JobClaims> Admit(const Visitor& visitor) DROVER_EXCLUDES(mutex_);
  void Leave(const JobClaims& claims) DROVER_EXCLUDES(mutex_);

  // A frame on that stream that the token does not allow; kPermissionDenied unless it does.
  Status CheckFrame(const Visitor& visitor, const JobClaims& claims, uint64_t job, uint32_t epoch,
                    uint8_t verb);

 private:
  struct JobKey {
    uint32_t epoch = 0;
    std::string key;
  };

  // Without Leave.
  Result<JobClaims> Check(const Visitor& visitor) DROVER_EXCLUDES(mutex_);
  Status Refuse(const Visitor& visitor, AuthFailure failure, Status status);

  const Clock& clock_;
  const std::function<void(AuthFailure)> on_refused_;
  RefusalLog log_;
  Mutex mutex_;
  std::map<uint64_t, JobKey> keys_ DROVER_GUARDED_BY(mutex_);     // By job.
  std::map<std::string, int> streams_ DROVER_GUARDED_BY(mutex_);  // By worker; more than 0.
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_TOKEN_GATE_H_
