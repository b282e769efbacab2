// The shell around Coordinator: one thread that takes events one at a time, asks the core, and
// carries its actions out in order. Decides nothing itself. A failing job store ends the process:
// what is not durable must not be acted on, and a restart resumes from what is.

#ifndef DROVER_SERVER_COORDINATOR_COORDINATOR_RUNTIME_H_
#define DROVER_SERVER_COORDINATOR_COORDINATOR_RUNTIME_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/thread.h"
#include "server/coordinator/checkpoint_thread.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/coordinator_observer.h"
#include "server/coordinator/event_signal.h"
#include "server/coordinator/event_sink.h"
#include "server/coordinator/job_book.h"
#include "server/coordinator/job_desk.h"
#include "server/coordinator/job_store.h"
#include "server/coordinator/peer_sessions.h"
#include "server/coordinator/status_facts.h"
#include "server/coordinator/token_desk.h"

namespace drover {

// Thread-safe once started.
class CoordinatorRuntime final : public EventSink, public JobDesk {
 public:
  static constexpr int64_t kJobsPerOwner = 100;
  struct Parts {  // All outlive the runtime.
    JobStore* store;
    FileSystem* fs;
    const Clock* clock;
    PeerSessions* sessions;
    CoordinatorObserver* observer;
    int64_t jobs_per_owner = kJobsPerOwner;  // That have not ended.
  };

  static constexpr size_t kQueueMax = 1024;
  static constexpr std::chrono::milliseconds kTickEvery{100};
  static constexpr std::chrono::seconds kAnswerTimeout{10};
  static constexpr std::chrono::seconds kExpireEvery{1};
  static constexpr std::chrono::seconds kExpireAgain{60};  // After a failure.
  static constexpr size_t kJobsMax = 10'000;
  static constexpr size_t kStatusRowsMax = 100;  // Jobs, workers and shards on the status page.

  CoordinatorRuntime(const CoordinatorOptions& options, const Parts& parts);
  ~CoordinatorRuntime() override { Stop(); }

  // Reads all jobs from the store, hands them to the core and starts the thread. Once.
  Status Start();
  // Takes no more events, finishes those that wait, ends the thread. Repeatable.
  void Stop();

  // EventSink.
  bool Post(CoordinatorEvent event) override;

  // Jobs, workers and shards for the status page, with `job` (as in JobDesk) selected; the first in
  // the list when it means no job. kUnavailable as in JobDesk.
  Result<StatusFacts> ReadStatus(const std::string& job);

  // JobDesk.
  Result<Created> Create(const std::string& request_id, const v1::JobSpec& spec,
                         const JobPlan& plan, const std::string& owner) override;
  Result<std::string> FindOwned(const std::string& job, const std::string& owner) override;
  Result<v1::Job> Get(const std::string& job) override;
  Result<std::vector<v1::Job>> List() override;
  Result<v1::Job> Ask(const std::string& job, JobVerb verb) override;
  Status Delete(const std::string& job) override;
  Result<std::vector<v1::CheckpointInfo>> Checkpoints(const std::string& job) override;
  Result<std::vector<v1::JobEvent>> ReadEvents(const std::string& id, int64_t after_sequence,
                                               int64_t count_max) override;
  Result<History> ReadMetrics(const std::string& id, int64_t first_step,
                              int64_t count_max) override;
  Result<History> ReadMetricsPoints(const std::string& id, int64_t points) override;
  void WaitForEvent(const std::string& id, int64_t after_sequence,
                    std::chrono::nanoseconds timeout) override;

 private:
  using Closure = std::function<void()>;
  using Item = std::variant<CoordinatorEvent, Closure>;
  struct Executor;

  void Loop();
  void Handle(const CoordinatorEvent& event);
  void SendOrder(const SendToWorker& action);
  void SendOrder(const SendToShard& action);
  void RenewTokens();
  int64_t NowUnixSeconds() const { return parts_.clock->UnixMilliseconds() / 1000; }
  void BeginManifest(const CommitManifest& action);
  void MakeFolder(const MakeCheckpointFolder& action);
  void WriteLog(const LogEvent& event);
  // Times the write; ends the process when the store has failed.
  void Store(CoordinatorObserver::StoreWrite kind, const std::function<Status()>& write);
  void MustBeDurable(const Status& status);

  // Runs `ask` on the thread and waits for its answer. Not from the thread itself.
  template <typename T>
  Result<T> OnThread(std::function<Result<T>()> ask);

  // On the thread.
  // `owner`: his jobs only; null: all.
  Result<const JobRecord*> Find(const std::string& job, const std::string* owner = nullptr) const;
  std::string OwnerOf(uint64_t job) const;
  v1::Job Describe(const JobRecord& record) const;
  StatusFacts StatusHere(const std::string& job) const;
  StatusJob StatusOf(const JobRecord& record) const;
  std::vector<StatusWorker> StatusOfWorkers() const;
  std::vector<StatusShard> StatusOfShards() const;
  Result<Created> CreateHere(const std::string& request_id, const v1::JobSpec& spec,
                             const JobPlan& plan, const std::string& owner);
  Status CheckQuota(const std::string& request_id, const std::string& owner) const;
  Result<v1::Job> AskHere(const std::string& job, JobVerb verb);
  Status DeleteHere(const std::string& job);
  // Those whose time to live after their end is over.
  void DeleteExpired(Instant now);

  const Parts parts_;
  const std::string checkpoint_directory_;
  const uint32_t shards_min_;
  Coordinator core_;
  EventSignal signal_;
  JobBook book_;
  TokenDesk tokens_;
  BoundedQueue<Item> queue_{kQueueMax};
  Instant next_expiry_;
  std::vector<ManifestCommitted> refused_;  // Answers to tasks that found no room.
  CheckpointThread checkpoints_;
  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_COORDINATOR_RUNTIME_H_
