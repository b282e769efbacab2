#include "server/coordinator/coordinator_runtime.h"

#include <cstdlib>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/tls/job_token.h"
#include "server/coordinator/checkpoint_folders.h"
#include "server/coordinator/worker_messages_proto.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

// How tasks of log lines begin that are about one of them.
constexpr std::string_view kWorkerTask = "worker/";
constexpr std::string_view kShardTask = "shard/";

// The job that a peer's event is about; nothing for events about no job.
struct JobOf {
  std::optional<uint64_t> operator()(const ModelDescribed& event) const { return event.job; }
  std::optional<uint64_t> operator()(const WorkRequested& event) const { return event.fence.job; }
  std::optional<uint64_t> operator()(const LeaseDone& event) const { return event.fence.job; }
  std::optional<uint64_t> operator()(const LeaseFailed& event) const { return event.fence.job; }
  std::optional<uint64_t> operator()(const LeaseReturned& event) const { return event.fence.job; }
  std::optional<uint64_t> operator()(const EvalDone& event) const { return event.fence.job; }
  std::optional<uint64_t> operator()(const ShardReplied& event) const {
    return std::visit([](const auto& reply) { return reply.fence.job; }, event.reply);
  }
  template <typename Other>
  std::optional<uint64_t> operator()(const Other& /*event*/) const {
    return std::nullopt;
  }
};

// Without random numbers nobody may serve a job, and a restart may help.
std::string JobKeyOrEnd() {
  Result<std::string> key = NewJobKey();
  if (key.ok()) return std::move(key).value();
  LogError("stopping: {}", key.status().message());
  std::_Exit(1);
}

}  // namespace

// One method per action.
struct CoordinatorRuntime::Executor {
  static constexpr auto kAppend = CoordinatorObserver::StoreWrite::kAppend;

  CoordinatorRuntime* runtime;

  JobBook& book() const { return runtime->book_; }

  void operator()(const SendToWorker& action) const { runtime->SendOrder(action); }
  void operator()(const SendToShard& action) const { runtime->SendOrder(action); }
  void operator()(const CloseSession& action) const {
    runtime->parts_.sessions->Close(action.session, action.reason);
  }
  void operator()(const RaiseEpoch& action) const {
    runtime->Store(kAppend, [&] { return book().RaiseEpoch(action); });
  }
  void operator()(const SaveJob& action) const {
    runtime->Store(kAppend, [&] { return book().Save(action.record); });
  }
  void operator()(const SaveCommit& action) const {
    runtime->Store(CoordinatorObserver::StoreWrite::kCommit,
                   [&] { return book().SaveCommit(action); });
  }
  void operator()(const SaveCheckpoint& action) const {
    runtime->Store(kAppend, [&] { return book().SaveCheckpoint(action); });
  }
  void operator()(const CommitManifest& action) const { runtime->BeginManifest(action); }
  void operator()(const MakeCheckpointFolder& action) const { runtime->MakeFolder(action); }
  void operator()(const LogEvent& action) const { runtime->WriteLog(action); }
  void operator()(const StateEvent& action) const {
    LogInfo({.job = action.job}, "state={}", JobStateName(action.state));
    book().Add(action);
  }
  void operator()(const EvalEvent& action) const { book().Add(action); }
  void operator()(const CountEvent& /*action*/) const {}  // The observer's.
};

CoordinatorRuntime::CoordinatorRuntime(const CoordinatorOptions& options, const Parts& parts)
    : parts_(parts),
      checkpoint_directory_(options.checkpoint_directory),
      shards_min_(options.shards_min),
      core_(options),
      book_(parts.store, parts.clock, &signal_),
      tokens_(&JobKeyOrEnd),
      checkpoints_(parts.fs, parts.clock, [this](ManifestCommitted event) { Post(event); }) {}

Status CoordinatorRuntime::Start() {
  Result<std::vector<JobRecord>> records = book_.Load();
  if (!records.ok()) return records.status();
  std::vector<uint64_t> jobs;
  for (const JobRecord& record : records.value()) jobs.push_back(record.id);
  for (const std::string& note : TidyJobFolders(*parts_.fs, checkpoint_directory_, jobs)) {
    LogInfo("checkpoint directory: {}", note);
  }
  for (JobRecord& record : records.value()) Handle(JobAdded{std::move(record), /*restored=*/true});
  thread_ = Thread("coordinator", [this] { Loop(); });
  return Status();
}

void CoordinatorRuntime::Stop() {
  queue_.Close();
  thread_.Join();
}

bool CoordinatorRuntime::Post(CoordinatorEvent event) { return queue_.Push(std::move(event)); }

void CoordinatorRuntime::Loop() {
  Instant next_tick = parts_.clock->Now();
  for (;;) {
    std::optional<Item> item = queue_.PopFor(kTickEvery);
    if (!item.has_value() && queue_.closed()) return;
    if (item.has_value()) {
      if (const Closure* closure = std::get_if<Closure>(&*item)) {
        (*closure)();
      } else {
        Handle(std::get<CoordinatorEvent>(*item));
      }
    }
    const Instant now = parts_.clock->Now();
    if (now < next_tick) continue;
    next_tick = now + kTickEvery;
    parts_.sessions->CloseSilent(now);
    Handle(Tick{});
    RenewTokens();
    DeleteExpired(now);
    parts_.observer->OnTick(core_);
  }
}

void CoordinatorRuntime::Handle(const CoordinatorEvent& event) {
  const std::optional<uint64_t> job = std::visit(JobOf{}, event);
  if (job.has_value() && core_.FindJob(*job) == nullptr) {
    parts_.observer->OnUnknownJob();
    return;
  }
  parts_.observer->OnEvent(event);
  tokens_.OnEvent(event);
  for (const CoordinatorAction& action : core_.Handle(event, parts_.clock->Now())) {
    std::visit(Executor{this}, action);
    parts_.observer->OnAction(action);
  }
  MustBeDurable(book_.Flush());
  while (!refused_.empty()) {
    const ManifestCommitted refused = std::move(refused_.back());
    refused_.pop_back();
    Handle(refused);
  }
}

void CoordinatorRuntime::SendOrder(const SendToWorker& action) {
  const v1::JobSpec* spec = nullptr;
  std::string token;
  if (const auto* assignment = std::get_if<AssignmentOrder>(&action.order)) {
    const JobFacts* facts = book_.Facts(assignment->job);
    if (facts != nullptr) spec = &facts->spec;
    if (!assignment->shards.empty()) {
      token = tokens_.Grant(action.session, assignment->job, assignment->epoch, NowUnixSeconds());
    }
  } else if (const auto* unassign = std::get_if<UnassignOrder>(&action.order)) {
    tokens_.EndGrant(action.session, unassign->job);
  }
  parts_.sessions->Send(action.session, WorkerOrderToProto(action.order, spec, token));
}

void CoordinatorRuntime::SendOrder(const SendToShard& action) {
  const auto* place = std::get_if<PlaceOrder>(&action.order);
  if (place == nullptr) return parts_.sessions->Send(action.session, OrderToProto(action.order));
  PlaceOrder with_key = *place;
  with_key.token_key = tokens_.KeyOf(place->job, place->epoch);
  parts_.sessions->Send(action.session, OrderToProto(with_key));
}

void CoordinatorRuntime::RenewTokens() {
  for (const TokenDesk::Renewal& renewal : tokens_.Renew(NowUnixSeconds())) {
    v1::WorkerOrder order;
    order.mutable_renew_token()->set_job(renewal.job);
    order.mutable_renew_token()->set_epoch(renewal.epoch);
    order.mutable_renew_token()->set_token(renewal.token);
    parts_.sessions->Send(renewal.session, order);
  }
}

void CoordinatorRuntime::BeginManifest(const CommitManifest& action) {
  const JobFacts* facts = book_.Facts(action.record.id);
  if (checkpoints_.Add({action, facts == nullptr ? "" : facts->spec_digest})) return;
  ManifestCommitted refused;
  refused.job = action.record.id;
  refused.checkpoint.version = action.version;
  refused.error = "too many checkpoints are being committed: the disk is too slow";
  refused_.push_back(std::move(refused));
}

// A failure here shows again when a shard cannot write; only then does the core give up.
void CoordinatorRuntime::MakeFolder(const MakeCheckpointFolder& action) {
  FileSystem& fs = *parts_.fs;
  const std::string job = checkpoint_directory_ + "/" + JobIdText(action.job);
  Status status = fs.RemoveAll(action.directory);
  if (status.ok()) status = fs.MakeDirectories(action.directory);
  for (const std::string& parent : {job, checkpoint_directory_}) {
    if (status.ok()) status = fs.SyncDirectory(parent);
  }
  if (!status.ok()) LogError("checkpoint folder: {}", status.message());
}

void CoordinatorRuntime::WriteLog(const LogEvent& event) {
  const LogLevel level = event.severity == LogSeverity::kError     ? LogLevel::kError
                         : event.severity == LogSeverity::kWarning ? LogLevel::kWarning
                                                                   : LogLevel::kInfo;
  LogPlace place = {.job = event.job};
  if (event.task.starts_with(kWorkerTask)) place.worker = event.task.substr(kWorkerTask.size());
  if (event.task.starts_with(kShardTask)) place.shard = event.task.substr(kShardTask.size());
  LogMessage(level, place, event.text);
  book_.Add(event);
}

void CoordinatorRuntime::Store(CoordinatorObserver::StoreWrite kind,
                               const std::function<Status()>& write) {
  const Instant begin = parts_.clock->Now();
  MustBeDurable(write());
  parts_.observer->OnStoreWrite(kind, Seconds(parts_.clock->Now() - begin));
}

void CoordinatorRuntime::MustBeDurable(const Status& status) {
  if (status.ok()) return;
  LogError("the job store has failed, stopping: {}; a restart resumes from what it holds",
           status.message());
  // No destructors: nothing of what other threads are doing may go on from here.
  std::_Exit(1);
}

}  // namespace drover
