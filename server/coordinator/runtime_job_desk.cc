// The JobDesk half of CoordinatorRuntime: questions of users, answered on the runtime's thread.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/quote.h"
#include "server/coordinator/checkpoint_folders.h"
#include "server/coordinator/coordinator_runtime.h"
#include "server/coordinator/job_rows.h"

namespace drover {
namespace {

constexpr size_t kIdDigits = 16;
constexpr size_t kPrefixMin = 4;

// What one thread leaves for another that may have stopped waiting.
template <typename T>
class Answer {
 public:
  void Set(Result<T> result) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    result_ = std::move(result);
    condition_.NotifyAll();
  }
  std::optional<Result<T>> WaitFor(std::chrono::nanoseconds timeout) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (!result_.has_value()) {
      if (!condition_.WaitFor(&mutex_, timeout)) break;
    }
    return std::move(result_);
  }

 private:
  Mutex mutex_;
  CondVar condition_;
  std::optional<Result<T>> result_ DROVER_GUARDED_BY(mutex_);
};

Result<uint64_t> ParseId(const std::string& id) {
  uint64_t value = 0;
  const char* end = id.data() + id.size();
  const auto [rest, error] = std::from_chars(id.data(), end, value, 16);
  if (id.size() != kIdDigits || error != std::errc() || rest != end) {
    return Status(Code::kInvalidArgument,
                  fmt::format("job id {}: expected {} hexadecimal digits", Quote(id), kIdDigits));
  }
  return value;
}

struct Nothing {};

// Rows of the store as messages; `what` names them in an error.
template <typename Message>
Result<std::vector<Message>> ParseReports(const std::vector<ReportRow>& rows, const char* what,
                                          const std::string& id) {
  std::vector<Message> messages;
  messages.reserve(rows.size());
  for (const ReportRow& row : rows) {
    if (!messages.emplace_back().ParseFromString(row.report)) {
      return Status(Code::kDataLoss,
                    fmt::format("the report of {} {} of job {} cannot be read", what, row.at, id));
    }
  }
  return messages;
}

Result<JobDesk::History> MakeHistory(const Result<std::vector<ReportRow>>& steps,
                                     const Result<std::vector<ReportRow>>& evaluations,
                                     const std::string& id) {
  if (!steps.ok()) return steps.status();
  if (!evaluations.ok()) return evaluations.status();
  JobDesk::History history;
  Result<std::vector<v1::StepReport>> step_reports =
      ParseReports<v1::StepReport>(steps.value(), "step", id);
  if (!step_reports.ok()) return step_reports.status();
  history.steps = std::move(step_reports).value();
  Result<std::vector<v1::EvalReport>> reports =
      ParseReports<v1::EvalReport>(evaluations.value(), "version", id);
  if (!reports.ok()) return reports.status();
  history.evaluations = std::move(reports).value();
  return history;
}

}  // namespace

template <typename T>
Result<T> CoordinatorRuntime::OnThread(std::function<Result<T>()> ask) {
  // Shared, because this call may give up before the thread gets there.
  const auto answer = std::make_shared<Answer<T>>();
  if (!queue_.TryPush(Closure([answer, ask = std::move(ask)] { answer->Set(ask()); }))) {
    return Status(Code::kUnavailable, "the coordinator is busy or going down: try again");
  }
  std::optional<Result<T>> result = answer->WaitFor(kAnswerTimeout);
  if (!result.has_value()) {
    return Status(Code::kUnavailable,
                  fmt::format("no answer within {} s: the coordinator's disk may be slow",
                              kAnswerTimeout.count()));
  }
  return *std::move(result);
}

Result<JobDesk::Created> CoordinatorRuntime::Create(const std::string& request_id,
                                                    const v1::JobSpec& spec, const JobPlan& plan,
                                                    const std::string& owner) {
  return OnThread<Created>(
      [this, request_id, spec, plan, owner] { return CreateHere(request_id, spec, plan, owner); });
}

Result<std::string> CoordinatorRuntime::FindOwned(const std::string& job,
                                                  const std::string& owner) {
  return OnThread<std::string>([this, job, owner]() -> Result<std::string> {
    const Result<const JobRecord*> record = Find(job, &owner);
    if (!record.ok()) return record.status();
    return JobIdText(record.value()->id);
  });
}

Result<v1::Job> CoordinatorRuntime::Get(const std::string& job) {
  return OnThread<v1::Job>([this, job]() -> Result<v1::Job> {
    const Result<const JobRecord*> record = Find(job);
    if (!record.ok()) return record.status();
    return Describe(*record.value());
  });
}

Result<std::vector<v1::Job>> CoordinatorRuntime::List() {
  return OnThread<std::vector<v1::Job>>([this]() -> Result<std::vector<v1::Job>> {
    std::vector<const JobRecord*> records;
    for (const auto& [id, record] : core_.jobs()) records.push_back(&record);
    std::sort(records.begin(), records.end(),
              [](const JobRecord* a, const JobRecord* b) { return a->order > b->order; });
    std::vector<v1::Job> jobs;
    for (const JobRecord* record : records) jobs.push_back(Describe(*record));
    return jobs;
  });
}

Result<v1::Job> CoordinatorRuntime::Ask(const std::string& job, JobVerb verb) {
  return OnThread<v1::Job>([this, job, verb] { return AskHere(job, verb); });
}

Status CoordinatorRuntime::Delete(const std::string& job) {
  return OnThread<Nothing>([this, job]() -> Result<Nothing> {
           DROVER_RETURN_IF_ERROR(DeleteHere(job));
           return Nothing();
         })
      .status();
}

Result<std::vector<v1::CheckpointInfo>> CoordinatorRuntime::Checkpoints(const std::string& job) {
  return OnThread<std::vector<v1::CheckpointInfo>>(
      [this, job]() -> Result<std::vector<v1::CheckpointInfo>> {
        std::optional<uint64_t> id;
        if (!job.empty()) {
          const Result<const JobRecord*> record = Find(job);
          if (!record.ok()) return record.status();
          id = record.value()->id;
        }
        const Result<std::vector<CheckpointRow>> rows =
            id.has_value() ? parts_.store->ListCheckpoints(*id) : parts_.store->ListCheckpoints();
        if (!rows.ok()) return rows.status();
        std::vector<v1::CheckpointInfo> checkpoints;
        for (const CheckpointRow& row : rows.value()) checkpoints.push_back(CheckpointInfoOf(row));
        return checkpoints;
      });
}

Result<StatusFacts> CoordinatorRuntime::ReadStatus(const std::string& job) {
  return OnThread<StatusFacts>([this, job]() -> Result<StatusFacts> { return StatusHere(job); });
}

// Not on the thread: many users may be reading long histories.
Result<std::vector<v1::JobEvent>> CoordinatorRuntime::ReadEvents(const std::string& id,
                                                                 int64_t after_sequence,
                                                                 int64_t count_max) {
  const Result<uint64_t> job = ParseId(id);
  if (!job.ok()) return job.status();
  const Result<std::vector<EventRow>> rows =
      parts_.store->ReadEvents(job.value(), after_sequence, count_max);
  if (!rows.ok()) return rows.status();
  std::vector<v1::JobEvent> events;
  for (const EventRow& row : rows.value()) {
    v1::JobEvent event;
    if (!event.ParseFromString(row.event)) {
      return Status(Code::kDataLoss,
                    fmt::format("event {} of job {} cannot be read", row.sequence, id));
    }
    events.push_back(std::move(event));
  }
  return events;
}

// Not on the thread either.
Result<JobDesk::History> CoordinatorRuntime::ReadMetrics(const std::string& id, int64_t first_step,
                                                         int64_t count_max) {
  const Result<uint64_t> job = ParseId(id);
  if (!job.ok()) return job.status();
  if (first_step < 0 || count_max < 1 || count_max > kHistoryPageMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("first step {} and {} steps: expected at least 0 and 1 to {}",
                              first_step, count_max, kHistoryPageMax));
  }
  // One more, to see whether there is more.
  Result<std::vector<ReportRow>> steps =
      parts_.store->ReadSteps(job.value(), first_step, count_max + 1);
  if (!steps.ok()) return steps.status();
  int64_t next_step = 0;
  if (std::cmp_greater(steps.value().size(), count_max)) {
    next_step = steps.value().back().at;
    steps.value().pop_back();
  }
  Result<std::vector<ReportRow>> evaluations =
      parts_.store->ReadEvaluations(job.value(), first_step + 1, JobStore::kEvaluationsKept);
  if (evaluations.ok() && next_step != 0) {
    std::erase_if(evaluations.value(), [&](const ReportRow& row) { return row.at > next_step; });
  }
  Result<History> history = MakeHistory(steps, evaluations, id);
  if (history.ok()) history.value().next_step = next_step;
  return history;
}

Result<JobDesk::History> CoordinatorRuntime::ReadMetricsPoints(const std::string& id,
                                                               int64_t points) {
  const Result<uint64_t> job = ParseId(id);
  if (!job.ok()) return job.status();
  if (points < 2 || points > kHistoryPointsMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} points: expected 2 to {}", points, kHistoryPointsMax));
  }
  return MakeHistory(parts_.store->SampleSteps(job.value(), points),
                     parts_.store->SampleEvaluations(job.value(), points), id);
}

void CoordinatorRuntime::WaitForEvent(const std::string& id, int64_t after_sequence,
                                      std::chrono::nanoseconds timeout) {
  const Result<uint64_t> job = ParseId(id);
  if (job.ok()) signal_.Wait(job.value(), after_sequence, timeout);
}

// ---- On the thread.

std::string CoordinatorRuntime::OwnerOf(uint64_t job) const {
  const JobFacts* facts = book_.Facts(job);
  return facts == nullptr ? kLocalOwner : facts->owner;
}

Result<const JobRecord*> CoordinatorRuntime::Find(const std::string& job,
                                                  const std::string* owner) const {
  const auto visible = [&](uint64_t id) { return owner == nullptr || OwnerOf(id) == *owner; };
  const Result<uint64_t> id = ParseId(job);
  if (id.ok()) {
    const JobRecord* record = core_.FindJob(id.value());
    if (record != nullptr && visible(id.value())) return record;
  }
  const JobRecord* newest = nullptr;
  std::vector<const JobRecord*> starting;
  for (const auto& [number, record] : core_.jobs()) {
    if (!visible(number)) continue;
    if (record.name == job && (newest == nullptr || record.order > newest->order)) {
      newest = &record;
    }
    if (job.size() >= kPrefixMin && JobIdText(number).starts_with(job)) {
      starting.push_back(&record);
    }
  }
  if (newest != nullptr) return newest;
  if (starting.size() == 1) return starting[0];
  if (starting.empty()) return Status(Code::kNotFound, fmt::format("no job {}", Quote(job)));
  return Status(Code::kInvalidArgument,
                fmt::format("{} jobs have an id that starts with {}, for example {} and {}: give "
                            "more digits",
                            starting.size(), Quote(job), JobIdText(starting[0]->id),
                            JobIdText(starting[1]->id)));
}

v1::Job CoordinatorRuntime::Describe(const JobRecord& record) const {
  const JobFacts* facts = book_.Facts(record.id);
  v1::Job job = JobToProto(record, facts == nullptr ? JobFacts() : *facts);
  job.set_workers(core_.worker_count(record.id));
  job.set_shards(core_.shard_count(record.id));
  return job;
}

Result<JobDesk::Created> CoordinatorRuntime::CreateHere(const std::string& request_id,
                                                        const v1::JobSpec& spec,
                                                        const JobPlan& plan,
                                                        const std::string& owner) {
  DROVER_RETURN_IF_ERROR(CheckQuota(request_id, owner));
  if (core_.jobs().size() >= kJobsMax) {
    return Status(Code::kResourceExhausted,
                  fmt::format("{} jobs are kept already: delete some that have ended", kJobsMax));
  }
  JobRecord record;
  record.plan = plan;
  const Result<JobStore::Created> created = book_.Create(request_id, spec, owner, &record);
  if (!created.ok()) return created.status();
  const uint64_t id = created.value().id;
  if (created.value().is_new) Handle(JobAdded{std::move(record), /*restored=*/false});
  const JobRecord* job = core_.FindJob(id);
  if (job == nullptr) return Status(Code::kInternal, "the job was created but is not there");
  return Created{Describe(*job), created.value().is_new};
}

Status CoordinatorRuntime::CheckQuota(const std::string& request_id,
                                      const std::string& owner) const {
  const auto& jobs = core_.jobs();
  const int64_t open = std::count_if(jobs.begin(), jobs.end(), [&](const auto& entry) {
    return !HasEnded(entry.second.state) && OwnerOf(entry.first) == owner;
  });
  if (open < parts_.jobs_per_owner || book_.HasRequest(request_id, owner)) return Status();
  return Status(Code::kResourceExhausted,
                fmt::format("{} has {} jobs that have not ended, and may have {} "
                            "(--jobs-per-user): wait for some, or cancel them",
                            owner, open, parts_.jobs_per_owner));
}

Result<v1::Job> CoordinatorRuntime::AskHere(const std::string& job, JobVerb verb) {
  const Result<const JobRecord*> record = Find(job);
  if (!record.ok()) return record.status();
  const uint64_t id = record.value()->id;
  DROVER_RETURN_IF_ERROR(CheckVerb(record.value()->state, verb).Annotate("job " + JobIdText(id)));
  Handle(JobVerbRequested{id, verb});
  return Describe(*core_.FindJob(id));
}

Status CoordinatorRuntime::DeleteHere(const std::string& job) {
  const Result<const JobRecord*> record = Find(job);
  if (!record.ok()) return record.status();
  const uint64_t id = record.value()->id;
  if (!HasEnded(record.value()->state)) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("job {} is {}: cancel it first", JobIdText(id),
                              JobStateName(record.value()->state)));
  }
  DROVER_RETURN_IF_ERROR(HideJobFolder(*parts_.fs, checkpoint_directory_, id)
                             .Annotate("the job's checkpoints cannot be removed"));
  if (const Status deleted = book_.Delete(id); !deleted.ok()) {
    (void)ShowJobFolder(*parts_.fs, checkpoint_directory_, id);  // If not now, at the next start.
    return deleted;
  }
  Handle(JobDeleted{id});
  const std::string hidden = HiddenJobFolder(checkpoint_directory_, id);
  if (!checkpoints_.Remove(hidden)) LogInfo("{} is removed at the next start", Quote(hidden));
  return Status();
}

void CoordinatorRuntime::DeleteExpired(Instant now) {
  if (now < next_expiry_) return;
  next_expiry_ = now + kExpireEvery;
  const int64_t unix_ms = parts_.clock->UnixMilliseconds();
  std::vector<uint64_t> expired;
  for (const auto& [id, record] : core_.jobs()) {
    if (record.plan.ttl_after_end_ms < 0 || !HasEnded(record.state)) continue;
    const JobFacts* facts = book_.Facts(id);
    if (facts == nullptr || facts->ended_unix_ms == 0) continue;
    if (unix_ms - facts->ended_unix_ms >= record.plan.ttl_after_end_ms) expired.push_back(id);
  }
  for (const uint64_t id : expired) {
    const Status deleted = DeleteHere(JobIdText(id));
    if (deleted.ok()) {
      LogInfo({.job = id}, "is deleted: its ttl_after_end is over");
    } else {
      LogWarning({.job = id}, "cannot be deleted though its ttl_after_end is over: {}",
                 deleted.message());
      next_expiry_ = now + kExpireAgain;
    }
  }
}

}  // namespace drover
