// A stream to the coordinator that a daemon holds open for its whole life: says hello, reads
// orders, writes what is queued, and comes back after every break. Used by worker and shard.
// Thread-safe. One thread reads, one writes; both are joined by the destructor.

#ifndef DROVER_COMMON_RPC_SESSION_H_
#define DROVER_COMMON_RPC_SESSION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/thread.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_grpc.h"

namespace drover {

// Out: what we send. In: what the coordinator sends. Both are protobuf messages.
template <typename Out, typename In>
class Session {
 public:
  using Stream = grpc::ClientReaderWriter<Out, In>;

  struct Options {
    std::string peer;  // For messages: "coordinator at HOST:PORT".
    // Opens the stream; called once per connection.
    std::function<std::unique_ptr<Stream>(grpc::ClientContext*)> open;
    Out hello;                              // First message of every connection.
    std::function<void(In)> on_order;       // On the session's thread; must not block for long.
    std::function<void()> on_disconnected;  // What was queued is dropped by then.
  };

  explicit Session(Options options) : options_(std::move(options)) {
    thread_ = Thread("session", [this] { Run(); });
  }

  ~Session() {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      if (context_ != nullptr) context_->TryCancel();
      changed_.NotifyAll();
    }
    thread_.Join();
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Queues a message; dropped while there is no connection, since every message answers something
  // that the coordinator asks again after a break. Never blocks.
  void Send(Out message) {
    MutexLock lock(&mutex_);
    if (!connected_ || queue_.size() >= kQueueMax) return;
    queue_.push_back(std::move(message));
    changed_.NotifyAll();
  }

  // Waits until what is queued has been written, at most `timeout`.
  void Flush(Duration timeout) {
    const Instant deadline = Clock::Real().Now() + timeout;
    MutexLock lock(&mutex_);
    while (connected_ && (!queue_.empty() || writing_)) {
      const Duration left = deadline - Clock::Real().Now();
      if (left.count() <= 0 || !changed_.WaitFor(&mutex_, left)) return;
    }
  }

 private:
  static constexpr size_t kQueueMax = 4096;
  static constexpr Duration kPauseMin = std::chrono::milliseconds(kReconnectInitialMs);
  static constexpr Duration kPauseMax = std::chrono::milliseconds(kReconnectMaxMs);

  void Run() {
    Duration pause = kPauseMin;
    bool complained = false;
    while (true) {
      const bool worked = Connect(&complained);
      pause = worked ? kPauseMin : std::min(2 * pause, kPauseMax);
      MutexLock lock(&mutex_);
      if (!stopping_) changed_.WaitFor(&mutex_, pause);
      if (stopping_) return;
    }
  }

  // One connection, from hello to its end. True when at least one order came.
  bool Connect(bool* complained) {
    grpc::ClientContext context;
    {
      MutexLock lock(&mutex_);
      if (stopping_) return false;
      context_ = &context;
    }
    std::unique_ptr<Stream> stream = options_.open(&context);
    bool worked = false;
    if (stream->Write(options_.hello)) {
      {
        MutexLock lock(&mutex_);
        connected_ = true;
        queue_.clear();
      }
      Thread writer("session-write", [this, &stream] { WriteAll(stream.get()); });
      In order;
      while (stream->Read(&order)) {
        worked = true;
        *complained = false;
        options_.on_order(std::move(order));
      }
      Disconnected();
      writer.Join();
      options_.on_disconnected();
    } else {
      Disconnected();
    }
    const grpc::Status status = stream->Finish();
    {
      MutexLock lock(&mutex_);
      context_ = nullptr;
      if (stopping_) return worked;
    }
    if (!*complained) {
      LogWarning("no connection to {}: {}; trying again", options_.peer,
                 FromGrpc(status).ToString());
      *complained = true;
    }
    return worked;
  }

  void Disconnected() {
    MutexLock lock(&mutex_);
    connected_ = false;
    changed_.NotifyAll();
  }

  void WriteAll(Stream* stream) {
    while (true) {
      Out message;
      {
        MutexLock lock(&mutex_);
        writing_ = false;
        changed_.NotifyAll();
        while (queue_.empty() && connected_) changed_.Wait(&mutex_);
        if (!connected_) return;
        message = std::move(queue_.front());
        queue_.pop_front();
        writing_ = true;
      }
      if (!stream->Write(message)) return Disconnected();
    }
  }

  const Options options_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Out> queue_ DROVER_GUARDED_BY(mutex_);
  bool connected_ DROVER_GUARDED_BY(mutex_) = false;
  bool writing_ DROVER_GUARDED_BY(mutex_) = false;
  bool stopping_ DROVER_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ DROVER_GUARDED_BY(mutex_) = nullptr;
  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_SESSION_H_
