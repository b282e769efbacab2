// JobService in this process for tests of clients: one job and a script of events, with a server
// that can go away and come back on the same port. Thread-safe.

#ifndef DROVER_TESTS_SUPPORT_FAKE_JOB_SERVICE_H_
#define DROVER_TESTS_SUPPORT_FAKE_JOB_SERVICE_H_

#include <fmt/format.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "proto/drover/v1/job.grpc.pb.h"

namespace drover {

class FakeJobService : public v1::JobService::Service {
 public:
  FakeJobService() { Start(0); }
  ~FakeJobService() override { Stop(); }

  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(gpr_now(GPR_CLOCK_MONOTONIC));  // Open streams are cancelled.
    server_.reset();
  }
  void Restart() {
    Stop();
    Start(port_);
  }

  // The answer of Get, Create, Cancel ...; the only job of List.
  void SetJob(const v1::Job& job) {
    MutexLock lock(&mutex_);
    job_ = job;
  }
  // The next stream sends those of `events` that are newer than asked for, then ends with `end`.
  // By then the job is in the last state that they tell of: events follow what has happened.
  void AddStream(const std::vector<v1::JobEvent>& events, const grpc::Status& end) {
    MutexLock lock(&mutex_);
    streams_.push_back({events, end});
  }
  // What each stream so far has asked for.
  std::vector<int64_t> after_sequences() const {
    MutexLock lock(&mutex_);
    return after_sequences_;
  }
  std::vector<std::string> request_ids() const {
    MutexLock lock(&mutex_);
    return request_ids_;
  }

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                         v1::CreateJobResponse* response) override {
    MutexLock lock(&mutex_);
    request_ids_.push_back(request->request_id());
    *response->mutable_job() = job_;
    *response->mutable_job()->mutable_spec() = request->spec();
    return grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::GetJobResponse* response) override {
    return Answer(request->job(), response);
  }
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::CancelJobResponse* response) override {
    return Answer(request->job(), response);
  }
  grpc::Status SuspendJob(grpc::ServerContext*, const v1::SuspendJobRequest* request,
                          v1::SuspendJobResponse* response) override {
    return Answer(request->job(), response);
  }
  grpc::Status ResumeJob(grpc::ServerContext*, const v1::ResumeJobRequest* request,
                         v1::ResumeJobResponse* response) override {
    return Answer(request->job(), response);
  }
  grpc::Status DeleteJob(grpc::ServerContext*, const v1::DeleteJobRequest* request,
                         v1::DeleteJobResponse*) override {
    MutexLock lock(&mutex_);
    return Find(request->job());
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*,
                        v1::ListJobsResponse* response) override {
    MutexLock lock(&mutex_);
    *response->add_jobs() = job_;
    return grpc::Status::OK;
  }
  grpc::Status ListCheckpoints(grpc::ServerContext*, const v1::ListCheckpointsRequest*,
                               v1::ListCheckpointsResponse* response) override {
    MutexLock lock(&mutex_);
    response->add_checkpoints()->set_id(job_.id() + "-50");
    return grpc::Status::OK;
  }
  // Pages of `page_steps` of the steps given to SetMetrics; all its evaluations with the first one.
  grpc::Status GetMetrics(grpc::ServerContext*, const v1::GetMetricsRequest* request,
                          v1::GetMetricsResponse* response) override {
    MutexLock lock(&mutex_);
    response->set_job_id(job_.id());
    if (request->first_step() == 0) *response->mutable_evaluations() = metrics_.evaluations();
    for (const v1::StepReport& step : metrics_.steps()) {
      if (step.step() < request->first_step()) continue;
      if (request->points() == 0 && response->steps_size() == page_steps_) {
        response->set_next_step(step.step());
        break;
      }
      *response->add_steps() = step;
    }
    return Find(request->job());
  }
  void SetMetrics(const v1::GetMetricsResponse& metrics, int page_steps) {
    MutexLock lock(&mutex_);
    metrics_ = metrics;
    page_steps_ = page_steps;
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    return Stream(context, request->job(), request->after_sequence(), writer);
  }
  grpc::Status StreamLogs(grpc::ServerContext* context, const v1::StreamLogsRequest* request,
                          grpc::ServerWriter<v1::JobEvent>* writer) override {
    return Stream(context, request->job(), request->after_sequence(), writer);
  }

 private:
  struct Script {
    std::vector<v1::JobEvent> events;
    grpc::Status end;
  };

  void Start(int port) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(fmt::format("127.0.0.1:{}", port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  grpc::Status Find(const std::string& name) DROVER_REQUIRES(mutex_) {
    if (name == job_.id() || name == job_.spec().name()) return grpc::Status::OK;
    return grpc::Status(grpc::NOT_FOUND, "no job " + name);
  }

  template <typename Response>
  grpc::Status Answer(const std::string& name, Response* response) {
    MutexLock lock(&mutex_);
    *response->mutable_job() = job_;
    return Find(name);
  }

  grpc::Status Stream(grpc::ServerContext*, const std::string& name, int64_t after,
                      grpc::ServerWriter<v1::JobEvent>* writer) {
    Script script;
    {
      MutexLock lock(&mutex_);
      after_sequences_.push_back(after);
      const grpc::Status found = Find(name);
      if (!found.ok()) return found;
      if (streams_.empty()) return grpc::Status(grpc::UNAVAILABLE, "no more scripts");
      script = streams_.front();
      streams_.erase(streams_.begin());
      for (const v1::JobEvent& event : script.events) {
        if (event.kind_case() == v1::JobEvent::kState) job_.set_state(event.state());
      }
    }
    for (const v1::JobEvent& event : script.events) {
      if (event.sequence() > after) writer->Write(event);
    }
    return script.end;
  }

  int port_ = 0;
  mutable Mutex mutex_;
  v1::Job job_ DROVER_GUARDED_BY(mutex_);
  v1::GetMetricsResponse metrics_ DROVER_GUARDED_BY(mutex_);
  int page_steps_ DROVER_GUARDED_BY(mutex_) = 0;
  std::vector<Script> streams_ DROVER_GUARDED_BY(mutex_);
  std::vector<int64_t> after_sequences_ DROVER_GUARDED_BY(mutex_);
  std::vector<std::string> request_ids_ DROVER_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_FAKE_JOB_SERVICE_H_
