#include "common/rpc/access.h"

#include <fmt/format.h>

#include <array>

#include "common/base/quote.h"

namespace drover {
namespace {

constexpr std::array<AccessRule, 16> kTable = {{
    {"/drover.v1.JobService/CreateJob", Access::kSubmitter},
    {"/drover.v1.JobService/GetJob", Access::kViewer},
    {"/drover.v1.JobService/ListJobs", Access::kViewer},
    {"/drover.v1.JobService/WatchJob", Access::kViewer},
    {"/drover.v1.JobService/StreamLogs", Access::kViewer},
    {"/drover.v1.JobService/CancelJob", Access::kSubmitter},
    {"/drover.v1.JobService/SuspendJob", Access::kSubmitter},
    {"/drover.v1.JobService/ResumeJob", Access::kSubmitter},
    {"/drover.v1.JobService/DeleteJob", Access::kAdmin},
    {"/drover.v1.JobService/ListCheckpoints", Access::kViewer},
    {"/drover.v1.JobService/GetMetrics", Access::kViewer},
    {"/drover.v1.WorkerService/Session", Access::kWorker},
    {"/drover.v1.ShardService/Session", Access::kShard},
    {"/drover.v1.TensorService/Exchange", Access::kWorker},
    {"/grpc.health.v1.Health/Check", Access::kAnyIdentity},
    {"/grpc.health.v1.Health/Watch", Access::kAnyIdentity},
}};

bool Suffices(Role role, Access least) {
  switch (least) {
    case Access::kAnyIdentity:
      return true;
    case Access::kViewer:
      return role == Role::kViewer || role == Role::kSubmitter || role == Role::kAdmin;
    case Access::kSubmitter:
      return role == Role::kSubmitter || role == Role::kAdmin;
    case Access::kAdmin:
      return role == Role::kAdmin;
    case Access::kWorker:
      return role == Role::kWorker;
    case Access::kShard:
      return role == Role::kShard;
  }
  return false;
}

const char* NeedOf(Access least) {
  switch (least) {
    case Access::kAnyIdentity:
      return "any certificate or token";
    case Access::kViewer:
      return "the role viewer, submitter or admin";
    case Access::kSubmitter:
      return "the role submitter or admin";
    case Access::kAdmin:
      return "the role admin";
    case Access::kWorker:
      return "a certificate of the role worker";
    case Access::kShard:
      return "a certificate of the role shard";
  }
  return "more";
}

}  // namespace

std::span<const AccessRule> AccessTable() { return kTable; }

Status Authorize(std::string_view method, const std::optional<Identity>& caller) {
  if (!caller.has_value()) {
    return Status(Code::kUnauthenticated,
                  "this server asks who calls: give --tls-cert and --tls-key, or --token-file");
  }
  for (const AccessRule& rule : kTable) {
    if (rule.method != method) continue;
    if (Suffices(caller->role, rule.least)) return Status();
    return Status(Code::kPermissionDenied,
                  fmt::format("{} may not call {}: it needs {}", ToString(*caller),
                              method.substr(method.rfind('/') + 1), NeedOf(rule.least)));
  }
  return Status(Code::kPermissionDenied, fmt::format("nobody may call {}", Quote(method)));
}

}  // namespace drover
