// The open streams of workers and shards: a bounded queue of orders for each, so that a slow peer
// never blocks the core. Knows neither gRPC nor what the orders mean. Thread-safe, but for what
// PeerSession says.

#ifndef DROVER_SERVER_COORDINATOR_PEER_SESSIONS_H_
#define DROVER_SERVER_COORDINATOR_PEER_SESSIONS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "proto/drover/v1/shard.pb.h"
#include "proto/drover/v1/worker.pb.h"
#include "server/coordinator/coordinator_events.h"

namespace drover {

using PeerOrder = std::variant<v1::WorkerOrder, v1::ShardOrder>;

class PeerSession;

enum class PeerKind { kWorker, kShard };

class PeerSessions {
 public:
  // Streams at once. Each has two threads and a queue, so that all together take some 300 MiB at
  // most; a cluster of this kind has a few hundred. Workers cannot keep shards out.
  struct Limits {
    size_t workers = 1024;
    size_t shards = 256;
  };
  PeerSessions() : PeerSessions(Limits()) {}
  explicit PeerSessions(const Limits& limits) : limits_(limits) {}
  size_t limit(PeerKind kind) const {
    return kind == PeerKind::kWorker ? limits_.workers : limits_.shards;
  }

  // Orders that may wait for one peer. A healthy one never has more than a few.
  static constexpr size_t kOrdersMax = 256;

  // Drops the order when the stream is over already. A peer that let its queue fill up has stopped
  // reading: its stream is closed.
  void Send(SessionId id, PeerOrder order);

  // Ends the stream; nothing happens when it is over already.
  void Close(SessionId id, const std::string& reason);
  void CloseAll(const std::string& reason);

  // Ends streams whose peer has not said who it is in time, or is silent since. To be called often:
  // the time by which two calls are further apart than kListeningGapMs counts for no peer.
  void CloseSilent(Instant now);

  size_t size() const;

 private:
  friend class PeerSession;
  // Gives it a number, unless there are as many as may be.
  void Add(PeerSession* session);
  void Remove(SessionId id);
  void CloseLocked(PeerSession* session, const std::string& reason) DROVER_REQUIRES(mutex_);

  const Limits limits_;
  mutable Mutex mutex_;
  std::optional<Instant> looked_ DROVER_GUARDED_BY(mutex_);  // Last call of CloseSilent.
  SessionId last_id_ DROVER_GUARDED_BY(mutex_) = 0;
  std::map<SessionId, PeerSession*> sessions_ DROVER_GUARDED_BY(mutex_);  // They leave by Remove.
};

// One stream, owned by the function that serves it. `cancel` makes the stream's reads and writes
// fail; it must not block, is called under a lock and never after the destructor.
class PeerSession {
 public:
  PeerSession(PeerSessions* table, PeerKind kind, Instant register_by,
              std::function<void()> cancel);
  ~PeerSession();
  PeerSession(const PeerSession&) = delete;
  PeerSession& operator=(const PeerSession&) = delete;

  // False: there are too many of its kind, and it must end at once.
  bool admitted() const { return id_ != 0; }
  SessionId id() const { return id_; }
  // It has said something, and is to do so again before `again_by`.
  void Heard(Instant again_by);

  // For the stream's writer thread: blocks; nothing once the session is closed and drained.
  std::optional<PeerOrder> NextOrder() { return orders_.Pop(); }
  // No more orders will be taken.
  void CloseOrders() { orders_.Close(); }

  // Why this side ended the stream; empty when it did not.
  std::string close_reason() const;

 private:
  friend class PeerSessions;
  PeerSessions* const table_;
  const PeerKind kind_;
  const std::function<void()> cancel_;
  BoundedQueue<PeerOrder> orders_{PeerSessions::kOrdersMax};
  // Guarded by the table's mutex.
  Instant speak_by_;
  bool heard_ = false;
  std::string close_reason_;
  SessionId id_ = 0;  // Of Add.
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_PEER_SESSIONS_H_
