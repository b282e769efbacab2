// The stream to the coordinator that worker and shard hold open for their whole life: says hello,
// hands on orders, writes what is queued or else a heartbeat, dials again after every break. Does
// not know what the messages mean. Thread-safe.

#ifndef DROVER_COMMON_RPC_SESSION_H_
#define DROVER_COMMON_RPC_SESSION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/thread.h"
#include "common/rpc/channel.h"
#include "common/rpc/redial.h"
#include "common/rpc/status_grpc.h"

namespace drover {

// Out: protobuf message that we send. In: what the coordinator sends.
template <typename Out, typename In>
class Session {
 public:
  using Stream = grpc::ClientReaderWriter<Out, In>;

  // Messages that wait for a coordinator that does not read; more are dropped.
  static constexpr size_t kQueueMax = 64;

  struct Options {
    // Opens the stream; called once per connection.
    std::function<std::unique_ptr<Stream>(grpc::ClientContext*)> open;
    Out hello;  // First message of every connection.
    // Adds to the hello of a connection what is true just then. May be empty.
    std::function<void(Out*)> complete_hello = nullptr;
    Out heartbeat;  // Written when nothing else was for so long.
    Duration heartbeat_every = std::chrono::milliseconds(kHeartbeatEveryMs);
    std::function<void(const Status&)> on_ended;  // After every stream: why. May be empty.
    std::function<void()> on_retry = nullptr;  // Before every stream but the first. May be empty.
  };

  explicit Session(Options options) : options_(std::move(options)) {}
  ~Session() { Stop(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Dials until Stop; once. `on_order` is called on one thread. While it blocks the stream is not
  // read, which is how a slow receiver slows the coordinator down.
  void Start(std::function<void(In)> on_order) {
    on_order_ = std::move(on_order);
    thread_ = Thread("coordinator", [this] { Run(); });
  }

  // Ends the stream; returns when no call of on_order is under way. Repeatable. With `patience`
  // what is queued is written first, and the coordinator gets that long to read it and hang up: a
  // stream that is cut takes along what is still on its way.
  void Stop(Duration patience = Duration(0)) DROVER_EXCLUDES(mutex_) {
    const Instant deadline = Clock::Real().Now() + patience;
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.NotifyAll();
      if (connection_ != nullptr) connection_->queue.Close();
      while (connection_ != nullptr) {
        const Duration left = deadline - Clock::Real().Now();
        if (left.count() <= 0 || !changed_.WaitFor(&mutex_, left)) break;
      }
      if (connection_ != nullptr) connection_->context.TryCancel();
    }
    thread_.Join();
  }

  // Never blocks. Dropped while there is no connection, or when the queue is full: every message
  // answers something that the coordinator asks again.
  void Send(Out message) DROVER_EXCLUDES(mutex_) {
    const std::shared_ptr<Connection> connection = Current();
    if (connection == nullptr || !connection->greeted) return;
    if (!connection->queue.TryPush(std::move(message))) {
      LogWarning("a message to the coordinator is dropped: it does not read, or has hung up");
    }
  }

  bool connected() const DROVER_EXCLUDES(mutex_) {
    const std::shared_ptr<Connection> connection = Current();
    return connection != nullptr && connection->greeted;
  }

 private:
  // How long a writer may go on after the stream's last order.
  static constexpr Duration kLastWrite = std::chrono::seconds(1);

  // What belongs to one stream; Send may still hold it when the stream is over.
  struct Connection {
    grpc::ClientContext context;
    BoundedQueue<Out> queue{kQueueMax};
    std::atomic<bool> greeted = false;
  };

  std::shared_ptr<Connection> Current() const {
    MutexLock lock(&mutex_);
    return connection_;
  }

  void Run() {
    Redial redial;
    while (const std::shared_ptr<Connection> connection = NewConnection()) {
      Redial::Ending ending;
      const Instant begin = Clock::Real().Now();
      ending.status = Converse(connection.get(), &ending.useful);
      ending.lasted = Clock::Real().Now() - begin;
      if (Disconnected()) return;
      if (options_.on_ended != nullptr) options_.on_ended(ending.status);
      const Duration pause = redial.PauseAfter(ending);
      if (redial.is_news()) {
        LogWarning("coordinator: stream ended, dialling again: {}", ending.status.ToString());
      }
      MutexLock lock(&mutex_);
      if (!stopping_) changed_.WaitFor(&mutex_, pause);
      if (!stopping_ && options_.on_retry != nullptr) options_.on_retry();
    }
  }

  // Null once stopping. From here on Stop cancels it.
  std::shared_ptr<Connection> NewConnection() {
    MutexLock lock(&mutex_);
    if (!stopping_) connection_ = std::make_shared<Connection>();
    return connection_;
  }

  // Whether there is to be no other one.
  bool Disconnected() {
    MutexLock lock(&mutex_);
    connection_.reset();
    changed_.NotifyAll();
    return stopping_;
  }

  // One stream from hello to its end: why it ended, and whether an order came.
  Status Converse(Connection* connection, bool* useful) {
    const std::unique_ptr<Stream> stream = options_.open(&connection->context);
    Out hello = options_.hello;
    if (options_.complete_hello != nullptr) options_.complete_hello(&hello);
    if (!stream->Write(hello)) return FromGrpc(stream->Finish());
    connection->greeted = true;
    BoundedQueue<bool> written(1);
    Thread writer("coord-write", [this, connection, &stream, &written] {
      bool open = true;
      while (open) {
        const std::optional<Out> message = NextMessage(&connection->queue);
        if (!message.has_value()) break;
        open = stream->Write(*message);
      }
      connection->queue.Close();
      if (open) stream->WritesDone();
      written.TryPush(true);
    });
    In order;
    while (stream->Read(&order)) {
      *useful = true;
      on_order_(std::move(order));
    }
    connection->queue.Close();
    // A writer in the middle of a message to a coordinator that does not read. Not before it must
    // be: then the reason would be "cancelled", whatever it was.
    if (!written.PopFor(kLastWrite).has_value()) connection->context.TryCancel();
    writer.Join();
    return FromGrpc(stream->Finish());
  }

  // Nothing when the queue is closed and drained.
  std::optional<Out> NextMessage(BoundedQueue<Out>* queue) const {
    std::optional<Out> message = queue->PopFor(options_.heartbeat_every);
    if (message.has_value()) return message;
    return queue->closed() ? queue->Pop() : options_.heartbeat;
  }

  const Options options_;
  std::function<void(In)> on_order_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ DROVER_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Connection> connection_ DROVER_GUARDED_BY(mutex_);  // Null between streams.

  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_SESSION_H_
