#include "common/rpc/job_client.h"

#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <utility>

#include "common/rpc/channel.h"
#include "common/rpc/status_grpc.h"
#include "proto/drover/v1/job.grpc.pb.h"

namespace drover {
namespace {

using v1::JobService;

// A stream may last as long as a job; each call of it is bounded and then resumed.
constexpr std::chrono::hours kStreamDeadline{1};
constexpr std::chrono::milliseconds kRetryInterval{200};

// In a monotonic span: a step of the wall clock must not end a call.
void SetTimeout(grpc::ClientContext* context, std::chrono::milliseconds timeout) {
  context->set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                     gpr_time_from_millis(timeout.count(), GPR_TIMESPAN)));
}

template <typename Request, typename Response>
Status Call(const std::shared_ptr<grpc::Channel>& channel, std::chrono::milliseconds timeout,
            grpc::Status (JobService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
            const Request& request, Response* response) {
  JobService::Stub stub(channel);
  grpc::ClientContext context;
  SetTimeout(&context, timeout);
  return FromGrpc((stub.*method)(&context, request, response));
}

// For the methods that take a job's name and answer with the job.
template <typename Request, typename Response>
Result<v1::Job> CallForJob(const std::shared_ptr<grpc::Channel>& channel,
                           std::chrono::milliseconds timeout,
                           grpc::Status (JobService::Stub::*method)(grpc::ClientContext*,
                                                                    const Request&, Response*),
                           const std::string& job) {
  Request request;
  request.set_job(job);
  Response response;
  DROVER_RETURN_IF_ERROR(Call(channel, timeout, method, request, &response));
  return std::move(*response.mutable_job());
}

// A server that stops, restarts or is cut off; not one that has answered.
bool MayComeBack(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kCancelled;
}

}  // namespace

bool HasEnded(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

JobClient::JobClient(const std::string& address, std::chrono::milliseconds timeout,
                     const ChannelSecurity& security)
    : address_(address),
      timeout_(timeout),
      channel_(MakeChannel(address, ChannelKind::kUser, security)) {}

Result<v1::Job> JobClient::Create(const v1::JobSpec& spec, const std::string& request_id,
                                  bool validate_only) {
  v1::CreateJobRequest request;
  request.set_request_id(request_id);
  *request.mutable_spec() = spec;
  request.set_validate_only(validate_only);
  v1::CreateJobResponse response;
  DROVER_RETURN_IF_ERROR(
      Call(channel_, timeout_, &JobService::Stub::CreateJob, request, &response));
  return std::move(*response.mutable_job());
}

Result<v1::Job> JobClient::Get(const std::string& job) {
  return CallForJob(channel_, timeout_, &JobService::Stub::GetJob, job);
}

Result<v1::Job> JobClient::Cancel(const std::string& job) {
  return CallForJob(channel_, timeout_, &JobService::Stub::CancelJob, job);
}

Result<v1::Job> JobClient::Suspend(const std::string& job) {
  return CallForJob(channel_, timeout_, &JobService::Stub::SuspendJob, job);
}

Result<v1::Job> JobClient::Resume(const std::string& job) {
  return CallForJob(channel_, timeout_, &JobService::Stub::ResumeJob, job);
}

Result<std::vector<v1::Job>> JobClient::List() {
  v1::ListJobsResponse response;
  DROVER_RETURN_IF_ERROR(
      Call(channel_, timeout_, &JobService::Stub::ListJobs, v1::ListJobsRequest(), &response));
  return std::vector<v1::Job>(response.jobs().begin(), response.jobs().end());
}

Status JobClient::Delete(const std::string& job) {
  v1::DeleteJobRequest request;
  request.set_job(job);
  v1::DeleteJobResponse response;
  return Call(channel_, timeout_, &JobService::Stub::DeleteJob, request, &response);
}

Result<std::vector<v1::CheckpointInfo>> JobClient::ListCheckpoints(const std::string& job) {
  v1::ListCheckpointsRequest request;
  request.set_job(job);
  v1::ListCheckpointsResponse response;
  DROVER_RETURN_IF_ERROR(
      Call(channel_, timeout_, &JobService::Stub::ListCheckpoints, request, &response));
  return std::vector<v1::CheckpointInfo>(response.checkpoints().begin(),
                                         response.checkpoints().end());
}

Result<v1::GetMetricsResponse> JobClient::GetMetrics(const v1::GetMetricsRequest& request) {
  v1::GetMetricsResponse response;
  DROVER_RETURN_IF_ERROR(
      Call(channel_, timeout_, &JobService::Stub::GetMetrics, request, &response));
  return response;
}

JobStream::JobStream(const JobClient& client, StreamKind kind, const std::string& job,
                     int64_t after_sequence, Duration patience)
    : channel_(client.channel_),
      kind_(kind),
      job_(job),
      patience_(patience),
      sequence_(after_sequence),
      reader_("job-stream", [this] { Run(); }) {}

JobStream::~JobStream() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
    stop_.NotifyAll();
  }
  events_.Close();
  reader_.Join();
}

std::optional<v1::JobEvent> JobStream::Next(Duration timeout) {
  const bool closed = events_.closed();
  std::optional<v1::JobEvent> event = events_.PopFor(timeout);
  drained_ = closed && !event.has_value();
  return event;
}

Status JobStream::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

bool JobStream::reconnecting() const {
  MutexLock lock(&mutex_);
  return reconnecting_;
}

void JobStream::Run() {
  last_contact_ = Clock::Real().Now();
  bool ended = false;
  Status status;
  while (!ended) {
    status = ReadOnce(&ended);
    if (ended || !connected_once_ || !MayComeBack(status.code())) break;
    if (Clock::Real().Now() - last_contact_ > patience_ || !WaitBeforeRetry()) break;
  }
  MutexLock lock(&mutex_);
  status_ = status;
  reconnecting_ = false;
  events_.Close();
}

Status JobStream::ReadOnce(bool* ended) {
  grpc::ClientContext context;
  SetTimeout(&context, kStreamDeadline);
  {
    MutexLock lock(&mutex_);
    if (stopped_) return Status(Code::kCancelled, "the stream was closed");
    context_ = &context;
  }
  JobService::Stub stub(channel_);
  std::unique_ptr<grpc::ClientReader<v1::JobEvent>> reader;
  if (kind_ == StreamKind::kWatch) {
    v1::WatchJobRequest request;
    request.set_job(job_);
    request.set_after_sequence(sequence_);
    reader = stub.WatchJob(&context, request);
  } else {
    v1::StreamLogsRequest request;
    request.set_job(job_);
    request.set_after_sequence(sequence_);
    request.set_follow(kind_ == StreamKind::kLogsFollow);
    reader = stub.StreamLogs(&context, request);
  }
  v1::JobEvent event;
  while (reader->Read(&event)) {
    connected_once_ = true;
    last_contact_ = Clock::Real().Now();
    {
      MutexLock lock(&mutex_);
      reconnecting_ = false;
    }
    if (event.sequence() <= sequence_) continue;  // Sent again after a reconnect.
    sequence_ = event.sequence();
    if (!events_.Push(std::move(event))) break;
    event.Clear();
  }
  const Status status = FromGrpc(reader->Finish());
  *ended = status.ok();
  MutexLock lock(&mutex_);
  context_ = nullptr;
  return status;
}

bool JobStream::WaitBeforeRetry() {
  MutexLock lock(&mutex_);
  reconnecting_ = true;
  if (!stopped_) stop_.WaitFor(&mutex_, kRetryInterval);
  return !stopped_;
}

}  // namespace drover
