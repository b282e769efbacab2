#include "server/cli/watch_loop.h"

#include <memory>

#include "server/cli/interrupt.h"

namespace drover {
namespace {

constexpr std::chrono::milliseconds kPollInterval{50};
constexpr std::chrono::seconds kRefreshInterval{2};

class Watcher {
 public:
  Watcher(JobClient* client, const v1::Job& job, const WatchOptions& options, LiveOutput* output)
      : client_(*client), options_(options), output_(*output), progress_(job) {}

  WatchOutcome Run() {
    Open();
    Status status;
    bool interrupted = false;
    while (status.ok() && !Finished()) {
      status = Round();
      if ((interrupted = Interrupted())) break;
    }
    output_.Finish(progress_, Context());
    return {progress_.job(), interrupted, status};
  }

 private:
  void Open() {
    stream_ = std::make_unique<JobStream>(client_, StreamKind::kWatch, progress_.job().id(),
                                          progress_.last_sequence(), options_.patience);
    last_news_ = Clock::Real().Now();
  }

  bool Finished() const {
    const v1::JobState state = progress_.job().state();
    // An ended job may have events that are still on their way.
    if (HasEnded(state)) return stream_->done();
    return options_.stop_when_suspended && state == v1::JOB_STATE_SUSPENDED;
  }

  Status Round() {
    const std::optional<v1::JobEvent> event = stream_->Next(kPollInterval);
    const Instant now = Clock::Real().Now();
    if (event.has_value()) {
      progress_.Apply(*event);
      if (event->time_unix_ms() >= options_.news_since_unix_ms) output_.Event(*event);
      last_news_ = now;
      // An old event may tell of a pause that is long over.
      if (progress_.job().state() == v1::JOB_STATE_SUSPENDED) DROVER_RETURN_IF_ERROR(Refresh());
    } else if (stream_->done()) {
      DROVER_RETURN_IF_ERROR(stream_->status());
      DROVER_RETURN_IF_ERROR(Refresh());
      if (!HasEnded(progress_.job().state())) Open();  // The server ended the call, not the job.
    } else if (now - last_news_ > kRefreshInterval && !stream_->reconnecting()) {
      last_news_ = now;
      const Status refreshed = Refresh();
      // The stream decides how long the coordinator may be away.
      if (refreshed.code() == Code::kNotFound) return refreshed;
    }
    output_.Tick(progress_, Context(), now);
    if (options_.tend == nullptr || now - last_tended_ < kPollInterval) return Status();
    last_tended_ = now;
    return options_.tend();
  }

  // What events do not tell: workers, shards, why the job waits.
  Status Refresh() {
    const Result<v1::Job> job = client_.Get(progress_.job().id());
    if (!job.ok()) return job.status();
    progress_.Update(job.value());
    return Status();
  }

  LiveContext Context() const {
    return {Clock::Real().UnixMilliseconds(), stream_->reconnecting()};
  }

  JobClient& client_;
  const WatchOptions& options_;
  LiveOutput& output_;
  Progress progress_;
  std::unique_ptr<JobStream> stream_;
  Instant last_news_;
  Instant last_tended_;
};

}  // namespace

WatchOutcome WatchJob(JobClient* client, const v1::Job& job, const WatchOptions& options,
                      LiveOutput* output) {
  return Watcher(client, job, options, output).Run();
}

}  // namespace drover
