// Which leaves of the open step are leased, to whom and until when. Also used for the pieces of an
// evaluation. Knows nothing of sockets or of workers' speed. Pure; not thread-safe: JobRun owns it.
//
// A range that was leased once may be leased again only as itself or as parts of itself: shards
// refuse a range that overlaps what a chunk holds only in part (reliability, "partial overlap").

#ifndef DROVER_SERVER_COORDINATOR_LEASE_TABLE_H_
#define DROVER_SERVER_COORDINATOR_LEASE_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/tensor/leaf_set.h"
#include "server/coordinator/coordinator_events.h"

namespace drover {

class LeaseTable {
 public:
  struct Lease {
    uint64_t id = 0;
    LeafRange leaves;
    SessionId worker = 0;
    Instant granted;
    Instant overdue;     // From here on an idle worker may get a copy.
    Instant deadline;    // From here on it is void.
    bool again = false;  // Some of it was leased before.
    bool copy = false;
  };

  // Leaves in `done` need no lease. `singles`: what shards hold in part is unknown (a takeover), so
  // every leaf is leased alone. Lease ids begin after `last_id` and never repeat in a job's run.
  LeaseTable(const LeafSet& done, bool singles, uint64_t last_id);

  // The first open leaves that may go together, at most `leaves_max`; nothing when all are leased.
  std::optional<Lease> Grant(SessionId worker, uint32_t leaves_max, Instant now, Instant overdue,
                             Instant deadline);

  // A second lease of the oldest overdue range that `worker` does not hold and nobody has a copy
  // of.
  std::optional<Lease> Copy(SessionId worker, Instant now, Instant overdue, Instant deadline);

  // The lease, when it is live and this worker's: its leaves are done, and it is gone.
  std::optional<Lease> Done(uint64_t id, SessionId worker);

  // Leases that end now; their leaves are open again unless done or leased to somebody else too.
  std::vector<Lease> Expire(Instant now);
  std::vector<Lease> ReleaseWorker(SessionId worker);
  // The same, and each of their leaves will be leased alone: shards take a single one whatever they
  // hold in part.
  std::vector<Lease> GiveUp(SessionId worker);

  // The worker returns the leaves of a live lease of its own from `leaf_begin` on, which it has not
  // begun; all of them end the lease. What was returned, to be leased apart from the rest. Nothing
  // when there is no such lease, or the leaf is not one of its.
  std::optional<LeafRange> Shorten(uint64_t id, SessionId worker, uint32_t leaf_begin);

  // False when its result is in already, from another lease of the same leaves.
  bool NeedsResult(LeafRange leaves) const { return !done_.ContainsAll(leaves); }

  bool all_done() const { return done_.full(); }
  uint32_t open_count() const;  // Leaves neither leased nor done.
  const std::map<uint64_t, Lease>& live() const { return live_; }
  uint64_t last_id() const { return last_id_; }

 private:
  bool IsOpen(uint32_t leaf) const { return !done_.Contains(leaf) && leased_[leaf] == 0; }
  void End(const Lease& lease);

  LeafSet done_;
  std::vector<uint32_t> leased_;  // Live leases over each leaf.
  std::vector<uint64_t> group_;   // Leaves of one group may be leased together; 0: never leased.
  std::map<uint64_t, Lease> live_;
  uint64_t last_id_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_LEASE_TABLE_H_
