// JobService over gRPC: checks what a user sent, asks the desk, answers. Decides nothing about
// jobs. Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_JOB_SERVICE_H_
#define DROVER_SERVER_COORDINATOR_JOB_SERVICE_H_

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proto/drover/v1/job.grpc.pb.h"
#include "server/coordinator/job_desk.h"
#include "server/coordinator/job_proto.h"

namespace drover {

class JobService final : public v1::JobService::Service {
 public:
  // Streams to watchers that may be open at once: each holds a thread.
  static constexpr int kWatchersMax = 64;
  static constexpr size_t kRequestIdBytesMax = 64;

  struct Caller {
    std::string owner = kLocalOwner;  // Of the jobs he makes.
    bool sees_all = true;             // Else his own jobs only: the others do not exist for him.
    std::string text = "unknown";     // For the audit log.
  };
  using IdentifyCaller = std::function<Caller(const grpc::ServerContextBase&)>;

  // `count_submission` is told accepted, invalid, quota or duplicate. Without `identify_caller`
  // everybody is the default caller. `desk` outlives this.
  JobService(JobDesk* desk, std::function<void(const char* outcome)> count_submission,
             IdentifyCaller identify_caller = nullptr)
      : desk_(desk),
        count_submission_(std::move(count_submission)),
        identify_caller_(std::move(identify_caller)) {}

  // Ends all streams to watchers soon; for going down.
  void StopWatchers() { stopping_ = true; }

  grpc::Status CreateJob(grpc::ServerContext* context, const v1::CreateJobRequest* request,
                         v1::CreateJobResponse* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::GetJobResponse* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override;
  grpc::Status StreamLogs(grpc::ServerContext* context, const v1::StreamLogsRequest* request,
                          grpc::ServerWriter<v1::JobEvent>* writer) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const v1::CancelJobRequest* request,
                         v1::CancelJobResponse* response) override;
  grpc::Status SuspendJob(grpc::ServerContext* context, const v1::SuspendJobRequest* request,
                          v1::SuspendJobResponse* response) override;
  grpc::Status ResumeJob(grpc::ServerContext* context, const v1::ResumeJobRequest* request,
                         v1::ResumeJobResponse* response) override;
  grpc::Status DeleteJob(grpc::ServerContext* context, const v1::DeleteJobRequest* request,
                         v1::DeleteJobResponse* response) override;
  grpc::Status ListCheckpoints(grpc::ServerContext* context,
                               const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status GetMetrics(grpc::ServerContext* context, const v1::GetMetricsRequest* request,
                          v1::GetMetricsResponse* response) override;

 private:
  struct EventStream {
    std::string job;  // As the user named it.
    int64_t after_sequence;
    bool logs_only;
    bool follow;
  };
  Status StreamEvents(grpc::ServerContext* context, const EventStream& wanted,
                      grpc::ServerWriter<v1::JobEvent>* writer);
  Caller CallerOf(const grpc::ServerContext& context) const;
  // What the caller may know as `job`, as the desk takes it; kNotFound when it is another's.
  Result<std::string> Resolve(const grpc::ServerContext& context, const std::string& job) const;
  grpc::Status Create(const v1::CreateJobRequest& request, const std::string& owner,
                      v1::CreateJobResponse* response);
  Status AnswerVerb(const grpc::ServerContext& context, const std::string& job, JobVerb verb,
                    v1::Job* answer);
  Result<std::vector<v1::CheckpointInfo>> VisibleCheckpoints(const grpc::ServerContext& context,
                                                             const std::string& job);
  // One line for a call that may have changed something; returns `status`.
  grpc::Status Audit(const grpc::ServerContext& context, const char* call, const std::string& job,
                     grpc::Status status) const;

  JobDesk* const desk_;
  const std::function<void(const char*)> count_submission_;
  const IdentifyCaller identify_caller_;
  std::atomic<int> watchers_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_SERVICE_H_
