// The data plane of a shard: one stream per worker connection. The thread that reads a stream adds
// its gradients straight from the received bytes to the sums of its job and queues the answers; a
// second thread writes them, and the versions that the worker pulled. A worker that does not read
// its answers is not read either. No decisions here: the accumulator judges frames, the publisher
// answers pulls. Thread-safe.
//
// Who may not open a stream is told so before anything is read (token_gate.h).
//
// What ends a stream: a frame of another job or epoch than its token's, with PERMISSION_DENIED; a
// message that is no frame, a frame that workers do not send, or any frame
// before the hello, with INVALID_ARGUMENT (DATA_LOSS when bytes were damaged on the way); too many
// pulls, with RESOURCE_EXHAUSTED; silence for longer than stream_watch.h
// says, unless this shard owes the worker a version, with a cut. Everything else is answered in the
// stream.

#ifndef DROVER_SERVER_SHARD_TENSOR_SERVICE_H_
#define DROVER_SERVER_SHARD_TENSOR_SERVICE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "common/rpc/frame.h"
#include "common/rpc/tensor_stream.h"
#include "server/shard/shard_host.h"
#include "server/shard/stream_outbox.h"
#include "server/shard/stream_watch.h"
#include "server/shard/token_gate.h"

namespace drover {

class TensorService : public TensorServiceBase {
 public:
  // Null when nothing of the job is here. Any thread.
  using FindJob = std::function<std::shared_ptr<HostedJob>(uint64_t job)>;

  // All, and what `find` needs, outlive the server that this is registered with.
  TensorService(const Clock& clock, FindJob find, TokenGate* gate);
  ~TensorService() override;

  // Ends the streams that are silent for too long. Its own thread calls it every second.
  void EndSilentStreams() DROVER_EXCLUDES(mutex_);

  grpc::Status Exchange(grpc::ServerContext* context, TensorServerStream* stream) override;

 private:
  // Who opened a stream, and what his token allows.
  struct Guest {
    TokenGate::Visitor visitor;
    JobClaims claims;
    StreamWatch::Id watched = 0;
    // The job, each time that it was placed anew, if the stream has pulled from it.
    std::set<std::weak_ptr<HostedJob>, std::owner_less<>> pulled = {};
  };
  // Until the worker has ended its side (OK) or broken a rule.
  Status ReadAll(TensorServerStream* stream, const std::shared_ptr<StreamOutbox>& outbox,
                 Guest* guest);
  Status ReadHello(TensorServerStream* stream, const std::string& worker);
  Status CheckFrame(const Guest& guest, const FrameHeader& header, uint8_t verb);
  void WatchStreams() DROVER_EXCLUDES(mutex_);
  void Heard(const Guest& guest) DROVER_EXCLUDES(mutex_);
  // Whether it was ended for its silence.
  bool Forget(const Guest& guest) DROVER_EXCLUDES(mutex_);
  void CountMalformed(const Guest& guest, Code code);
  Status OnPull(const FrameHeader& header, const std::shared_ptr<StreamOutbox>& outbox,
                Guest* guest);
  void OnGradient(const ReceivedFrame& frame, const std::string& worker, StreamOutbox* outbox);
  void WriteAll(TensorServerStream* stream, uint64_t job, StreamOutbox* outbox);

  const Clock& clock_;
  const FindJob find_;
  TokenGate* const gate_;

  struct OpenStream {
    std::shared_ptr<StreamOutbox> outbox;
    std::string worker;
    uint64_t job = 0;
    bool ended = false;  // For its silence.
  };
  Mutex mutex_;
  CondVar changed_;
  StreamWatch watch_ DROVER_GUARDED_BY(mutex_);
  std::map<StreamWatch::Id, OpenStream> open_ DROVER_GUARDED_BY(mutex_);
  bool stopping_ DROVER_GUARDED_BY(mutex_) = false;
  Thread watcher_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_TENSOR_SERVICE_H_
