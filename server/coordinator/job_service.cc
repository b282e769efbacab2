#include "server/coordinator/job_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/base/quote.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_grpc.h"
#include "server/spec.h"

namespace drover {
namespace {

constexpr int64_t kEventsPerRead = 256;
// Of a list in one answer, so that it stays below the limit of control messages.
constexpr size_t kAnswerBytesMax = kControlMessageBytesMax - 4096;
constexpr size_t kFieldBytesMax = 8;  // Tag and length of one entry.
// Of the steps in one answer of GetMetrics, which leaves room for 4,096 evaluations.
constexpr size_t kStepReportBytesMax = kAnswerBytesMax / 2;
constexpr int64_t kMetricsPage = 1000;
// How often an idle stream looks whether its user has gone.
constexpr std::chrono::milliseconds kIdleWait{500};

bool HasEnded(v1::JobState state) { return HasEnded(static_cast<JobState>(state)); }

// Counts one watcher for as long as it lives.
class WatcherSlot {
 public:
  explicit WatcherSlot(std::atomic<int>* watchers)
      : watchers_(watchers), taken_(watchers->fetch_add(1) < JobService::kWatchersMax) {}
  ~WatcherSlot() { watchers_->fetch_sub(1); }
  WatcherSlot(const WatcherSlot&) = delete;
  WatcherSlot& operator=(const WatcherSlot&) = delete;
  bool taken() const { return taken_; }

 private:
  std::atomic<int>* const watchers_;
  const bool taken_;
};

}  // namespace

grpc::Status JobService::Audit(const grpc::ServerContext& context, const char* call,
                               const std::string& job, grpc::Status status) const {
  LogInfo("audit: call={} job={} caller={} outcome={}", call, Quote(job), CallerOf(context).text,
          CodeName(FromGrpc(status).code()));
  return status;
}

JobService::Caller JobService::CallerOf(const grpc::ServerContext& context) const {
  return identify_caller_ == nullptr ? Caller() : identify_caller_(context);
}

Result<std::string> JobService::Resolve(const grpc::ServerContext& context,
                                        const std::string& job) const {
  const Caller caller = CallerOf(context);
  if (caller.sees_all) return job;
  return desk_->FindOwned(job, caller.owner);
}

grpc::Status JobService::CreateJob(grpc::ServerContext* context,
                                   const v1::CreateJobRequest* request,
                                   v1::CreateJobResponse* response) {
  grpc::Status status = Create(*request, CallerOf(*context).owner, response);
  if (request->validate_only()) return status;
  const std::string& job = status.ok() ? response->job().id() : request->spec().name();
  return Audit(*context, "CreateJob", job, std::move(status));
}

grpc::Status JobService::Create(const v1::CreateJobRequest& request, const std::string& owner,
                                v1::CreateJobResponse* response) {
  if (request.request_id().size() > kRequestIdBytesMax) {
    count_submission_("invalid");
    return ToGrpc(Status(Code::kInvalidArgument,
                         fmt::format("request_id {}: expected at most {} characters",
                                     Quote(request.request_id()), kRequestIdBytesMax)));
  }
  const Result<JobPlan> plan = PlanJob(request.spec());
  if (!plan.ok()) {
    if (!request.validate_only()) count_submission_("invalid");
    return ToGrpc(plan.status());
  }
  const v1::JobSpec spec = WithDefaults(request.spec(), plan.value());
  if (request.validate_only()) {
    *response->mutable_job()->mutable_spec() = spec;
    response->mutable_job()->set_state(v1::JOB_STATE_QUEUED);
    return grpc::Status::OK;
  }
  Result<JobDesk::Created> created = desk_->Create(request.request_id(), spec, plan.value(), owner);
  if (!created.ok()) {
    if (created.status().code() == Code::kResourceExhausted) count_submission_("quota");
    if (created.status().code() == Code::kAlreadyExists) count_submission_("duplicate");
    return ToGrpc(created.status());
  }
  count_submission_(created.value().is_new ? "accepted" : "duplicate");
  *response->mutable_job() = std::move(created).value().job;
  return grpc::Status::OK;
}

grpc::Status JobService::GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                                v1::GetJobResponse* response) {
  const Result<std::string> id = Resolve(*context, request->job());
  if (!id.ok()) return ToGrpc(id.status());
  Result<v1::Job> job = desk_->Get(id.value());
  if (!job.ok()) return ToGrpc(job.status());
  *response->mutable_job() = std::move(job).value();
  return grpc::Status::OK;
}

grpc::Status JobService::ListJobs(grpc::ServerContext* context,
                                  const v1::ListJobsRequest* /*request*/,
                                  v1::ListJobsResponse* response) {
  Result<std::vector<v1::Job>> jobs = desk_->List();
  if (!jobs.ok()) return ToGrpc(jobs.status());
  const Caller caller = CallerOf(*context);
  size_t bytes = 0;
  for (v1::Job& job : jobs.value()) {
    if (!caller.sees_all && job.owner() != caller.owner) continue;
    bytes += job.ByteSizeLong() + kFieldBytesMax;
    if (bytes > kAnswerBytesMax) break;  // The oldest are left out: they have long ended.
    *response->add_jobs() = std::move(job);
  }
  return grpc::Status::OK;
}

Status JobService::StreamEvents(grpc::ServerContext* context, const EventStream& wanted,
                                grpc::ServerWriter<v1::JobEvent>* writer) {
  const WatcherSlot slot(&watchers_);
  if (!slot.taken()) {
    return Status(Code::kResourceExhausted,
                  fmt::format("{} watchers are open already: try again later", kWatchersMax));
  }
  const Result<std::string> found = Resolve(*context, wanted.job);
  if (!found.ok()) return found.status();
  Result<v1::Job> job = desk_->Get(found.value());
  if (!job.ok()) return job.status();
  const std::string id = job.value().id();
  int64_t after = wanted.after_sequence;
  while (!context->IsCancelled()) {
    if (stopping_) return Status(Code::kUnavailable, "the coordinator is going down");
    // Before the events: what is read after the job has ended is all there will be.
    job = desk_->Get(id);
    if (!job.ok()) return job.status();
    Result<std::vector<v1::JobEvent>> events = desk_->ReadEvents(id, after, kEventsPerRead);
    if (!events.ok()) return events.status();
    const bool newest = std::cmp_less(events.value().size(), kEventsPerRead);
    for (size_t i = 0; i < events.value().size(); ++i) {
      v1::JobEvent& event = events.value()[i];
      after = event.sequence();
      if (wanted.logs_only && !event.has_log()) continue;
      if (!wanted.logs_only && newest && i + 1 == events.value().size()) {
        *event.mutable_job() = job.value();
      }
      if (!writer->Write(event)) return Status();  // The user has gone.
    }
    if (!newest) continue;
    if (!wanted.follow || HasEnded(job.value().state())) return Status();
    desk_->WaitForEvent(id, after, kIdleWait);
  }
  return Status();
}

grpc::Status JobService::WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                                  grpc::ServerWriter<v1::JobEvent>* writer) {
  return ToGrpc(StreamEvents(context,
                             {request->job(), request->after_sequence(), /*logs_only=*/false,
                              /*follow=*/true},
                             writer));
}

grpc::Status JobService::StreamLogs(grpc::ServerContext* context,
                                    const v1::StreamLogsRequest* request,
                                    grpc::ServerWriter<v1::JobEvent>* writer) {
  return ToGrpc(StreamEvents(
      context, {request->job(), request->after_sequence(), /*logs_only=*/true, request->follow()},
      writer));
}

Status JobService::AnswerVerb(const grpc::ServerContext& context, const std::string& job,
                              JobVerb verb, v1::Job* answer) {
  const Result<std::string> id = Resolve(context, job);
  if (!id.ok()) return id.status();
  Result<v1::Job> result = desk_->Ask(id.value(), verb);
  if (!result.ok()) return result.status();
  *answer = std::move(result).value();
  return Status();
}

grpc::Status JobService::CancelJob(grpc::ServerContext* context,
                                   const v1::CancelJobRequest* request,
                                   v1::CancelJobResponse* response) {
  return Audit(
      *context, "CancelJob", request->job(),
      ToGrpc(AnswerVerb(*context, request->job(), JobVerb::kCancel, response->mutable_job())));
}

grpc::Status JobService::SuspendJob(grpc::ServerContext* context,
                                    const v1::SuspendJobRequest* request,
                                    v1::SuspendJobResponse* response) {
  return Audit(
      *context, "SuspendJob", request->job(),
      ToGrpc(AnswerVerb(*context, request->job(), JobVerb::kSuspend, response->mutable_job())));
}

grpc::Status JobService::ResumeJob(grpc::ServerContext* context,
                                   const v1::ResumeJobRequest* request,
                                   v1::ResumeJobResponse* response) {
  return Audit(
      *context, "ResumeJob", request->job(),
      ToGrpc(AnswerVerb(*context, request->job(), JobVerb::kResume, response->mutable_job())));
}

grpc::Status JobService::DeleteJob(grpc::ServerContext* context,
                                   const v1::DeleteJobRequest* request,
                                   v1::DeleteJobResponse* /*response*/) {
  const Result<std::string> id = Resolve(*context, request->job());
  return Audit(*context, "DeleteJob", request->job(),
               ToGrpc(id.ok() ? desk_->Delete(id.value()) : id.status()));
}

Result<std::vector<v1::CheckpointInfo>> JobService::VisibleCheckpoints(
    const grpc::ServerContext& context, const std::string& job) {
  const Caller caller = CallerOf(context);
  if (caller.sees_all) return desk_->Checkpoints(job);
  if (!job.empty()) {
    const Result<std::string> id = Resolve(context, job);
    return id.ok() ? desk_->Checkpoints(id.value()) : id.status();
  }
  const Result<std::vector<v1::Job>> jobs = desk_->List();
  if (!jobs.ok()) return jobs.status();
  std::set<std::string> own;
  for (const v1::Job& one : jobs.value()) {
    if (one.owner() == caller.owner) own.insert(one.id());
  }
  Result<std::vector<v1::CheckpointInfo>> checkpoints = desk_->Checkpoints("");
  if (!checkpoints.ok()) return checkpoints;
  std::erase_if(checkpoints.value(),
                [&](const v1::CheckpointInfo& info) { return !own.contains(info.job_id()); });
  return checkpoints;
}

grpc::Status JobService::ListCheckpoints(grpc::ServerContext* context,
                                         const v1::ListCheckpointsRequest* request,
                                         v1::ListCheckpointsResponse* response) {
  Result<std::vector<v1::CheckpointInfo>> checkpoints =
      VisibleCheckpoints(*context, request->job());
  if (!checkpoints.ok()) return ToGrpc(checkpoints.status());
  size_t bytes = 0;
  for (v1::CheckpointInfo& info : checkpoints.value()) {
    bytes += info.ByteSizeLong() + kFieldBytesMax;
    if (bytes > kAnswerBytesMax) break;
    *response->add_checkpoints() = std::move(info);
  }
  return grpc::Status::OK;
}

grpc::Status JobService::GetMetrics(grpc::ServerContext* context,
                                    const v1::GetMetricsRequest* request,
                                    v1::GetMetricsResponse* response) {
  const Result<std::string> id = Resolve(*context, request->job());
  if (!id.ok()) return ToGrpc(id.status());
  const Result<v1::Job> job = desk_->Get(id.value());
  if (!job.ok()) return ToGrpc(job.status());
  const int64_t page = request->page_size() == 0 ? kMetricsPage : request->page_size();
  Result<JobDesk::History> history =
      request->points() != 0 ? desk_->ReadMetricsPoints(job.value().id(), request->points())
                             : desk_->ReadMetrics(job.value().id(), request->first_step(),
                                                  std::min(page, JobDesk::kHistoryPageMax));
  if (!history.ok()) return ToGrpc(history.status());
  response->set_job_id(job.value().id());
  response->set_next_step(history.value().next_step);
  size_t bytes = 0;
  for (v1::StepReport& step : history.value().steps) {
    bytes += step.ByteSizeLong() + kFieldBytesMax;
    if (bytes > kStepReportBytesMax) {  // Long reasons of skipped steps: a shorter page.
      if (request->points() == 0) response->set_next_step(step.step());
      break;
    }
    *response->add_steps() = std::move(step);
  }
  const int64_t next_step = response->next_step();
  for (v1::EvalReport& evaluation : history.value().evaluations) {
    if (next_step != 0 && evaluation.version() > next_step) break;
    *response->add_evaluations() = std::move(evaluation);
  }
  return grpc::Status::OK;
}

}  // namespace drover
