// Typed client of JobService, for the command line and tests: deadlines, idempotent creation, and a
// watch that resumes where it stopped. Never waits for a server that is not there. Thread-safe.

#ifndef DROVER_COMMON_RPC_JOB_CLIENT_H_
#define DROVER_COMMON_RPC_JOB_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "common/rpc/channel_security.h"
#include "proto/drover/v1/job.pb.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace drover {

class JobClient {
 public:
  // `timeout` bounds every call but the streams.
  explicit JobClient(const std::string& address,
                     std::chrono::milliseconds timeout = std::chrono::seconds(5),
                     const ChannelSecurity& security = {});

  const std::string& address() const { return address_; }

  // A repeat with the same request_id and spec gives the same job.
  Result<v1::Job> Create(const v1::JobSpec& spec, const std::string& request_id,
                         bool validate_only = false);
  Result<v1::Job> Get(const std::string& job);
  Result<std::vector<v1::Job>> List();  // Newest first.
  Result<v1::Job> Cancel(const std::string& job);
  Result<v1::Job> Suspend(const std::string& job);
  Result<v1::Job> Resume(const std::string& job);
  Status Delete(const std::string& job);
  // Of one job, or of all when `job` is empty. Newest first.
  Result<std::vector<v1::CheckpointInfo>> ListCheckpoints(const std::string& job);
  // One page, or points for a chart.
  Result<v1::GetMetricsResponse> GetMetrics(const v1::GetMetricsRequest& request);

 private:
  friend class JobStream;
  const std::string address_;
  const std::chrono::milliseconds timeout_;
  const std::shared_ptr<grpc::Channel> channel_;
};

// Whether a job in this state will never change again.
bool HasEnded(v1::JobState state);

// What a JobStream reads.
enum class StreamKind {
  kWatch,       // Every event until the job has ended.
  kLogs,        // Log lines until the newest.
  kLogsFollow,  // Log lines until the job has ended.
};

// The events of a job, in order and without gaps or repeats, over as many connections as it takes.
// Once it has been connected it survives a server that is away for less than `patience`. Next from
// one thread.
class JobStream {
 public:
  JobStream(const JobClient& client, StreamKind kind, const std::string& job,
            int64_t after_sequence, Duration patience);
  ~JobStream();  // Cancels.
  JobStream(const JobStream&) = delete;
  JobStream& operator=(const JobStream&) = delete;

  // The next event, waiting at most `timeout`. Nothing when there is none yet, or done().
  std::optional<v1::JobEvent> Next(Duration timeout);

  // All events have been handed out and no more will come; status() says why: OK when the stream
  // came to its end.
  bool done() const { return events_.closed() && drained_; }
  Status status() const;

  // The server does not answer now; events go on when it does.
  bool reconnecting() const;

 private:
  // Reads until the end or until it is clear that there will be none.
  void Run();
  // One connection. `ended` when no further one is needed.
  Status ReadOnce(bool* ended);
  bool WaitBeforeRetry();

  const std::shared_ptr<grpc::Channel> channel_;
  const StreamKind kind_;
  const std::string job_;
  const Duration patience_;
  BoundedQueue<v1::JobEvent> events_{1024};
  bool drained_ = false;  // Of the thread that calls Next.
  int64_t sequence_;      // Of the reading thread, like the next two.
  bool connected_once_ = false;
  Instant last_contact_;

  mutable Mutex mutex_;
  CondVar stop_;
  bool stopped_ DROVER_GUARDED_BY(mutex_) = false;
  bool reconnecting_ DROVER_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ DROVER_GUARDED_BY(mutex_) = nullptr;  // Of the open call.
  Status status_ DROVER_GUARDED_BY(mutex_);
  Thread reader_;  // Last: it uses the rest.
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_JOB_CLIENT_H_
