#include "server/shard/token_gate.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <variant>

#include "common/base/quote.h"

namespace drover {
namespace {

constexpr std::string_view kCall = "TensorService/Exchange";

}  // namespace

TokenGate::TokenGate(const Clock& clock, std::function<void(AuthFailure)> on_refused)
    : clock_(clock), on_refused_(std::move(on_refused)), log_(clock) {}

void TokenGate::OnOrder(const ShardOrder& order) {
  if (const auto* place = std::get_if<PlaceOrder>(&order)) {
    MutexLock lock(&mutex_);
    JobKey& held = keys_[place->job];
    if (place->epoch >= held.epoch) held = {place->epoch, place->token_key};
  } else if (const auto* release = std::get_if<ReleaseOrder>(&order)) {
    MutexLock lock(&mutex_);
    keys_.erase(release->job);
  }
}

Result<JobClaims> TokenGate::Admit(const Visitor& visitor) {
  Result<JobClaims> claims = Check(visitor);
  if (!claims.ok()) return claims;
  {
    MutexLock lock(&mutex_);
    int& open = streams_[claims.value().subject];
    if (open < kStreamsPerWorkerMax) {
      ++open;
      return claims;
    }
  }
  return Refuse(
      visitor, AuthFailure::kTooMany,
      Status(Code::kResourceExhausted, fmt::format("worker {} has {} streams to this shard already",
                                                   claims.value().subject, kStreamsPerWorkerMax)));
}

void TokenGate::Leave(const JobClaims& claims) {
  MutexLock lock(&mutex_);
  const auto found = streams_.find(claims.subject);
  if (found != streams_.end() && --found->second == 0) streams_.erase(found);
}

Result<JobClaims> TokenGate::Check(const Visitor& visitor) {
  if (visitor.tokens.empty()) {
    return Refuse(visitor, AuthFailure::kNoCredentials,
                  Status(Code::kUnauthenticated,
                         "a worker shows the token of its job: run the same release everywhere"));
  }
  const std::string& token = visitor.tokens.front();
  Result<JobClaims> claims = PeekJobToken(token);
  if (!claims.ok() || visitor.tokens.size() > 1) {
    return Refuse(visitor, AuthFailure::kBadToken,
                  Status(Code::kUnauthenticated, "expected one job token of this release"));
  }
  JobKey held;
  {
    MutexLock lock(&mutex_);
    const auto found = keys_.find(claims.value().job);
    if (found != keys_.end()) held = found->second;
  }
  if (held.key.empty()) {
    return Refuse(visitor, AuthFailure::kStaleToken,
                  Status(Code::kPermissionDenied,
                         fmt::format("job {:016x} is not on this shard", claims.value().job)));
  }
  if (claims.value().epoch != held.epoch) {
    return Refuse(visitor, AuthFailure::kStaleToken,
                  Status(Code::kPermissionDenied,
                         fmt::format("a token of epoch {} of job {:016x}, which is at {}",
                                     claims.value().epoch, claims.value().job, held.epoch)));
  }
  claims = OpenJobToken(held.key, token);
  if (!claims.ok()) return Refuse(visitor, AuthFailure::kBadToken, claims.status());
  const JobClaims& open = claims.value();
  if (open.subject != visitor.worker ||
      (visitor.certificate && !MayUseName(visitor.certificate->name, open.subject))) {
    return Refuse(visitor, AuthFailure::kForbidden,
                  Status(Code::kPermissionDenied,
                         fmt::format("the job token of worker {} in other hands", open.subject)));
  }
  if (clock_.UnixMilliseconds() / 1000 > open.expiry_unix_s) {
    return Refuse(visitor, AuthFailure::kExpiredToken,
                  Status(Code::kUnauthenticated,
                         "the job token has run out: do the clocks of shard and coordinator agree "
                         "to half an hour?"));
  }
  return claims;
}

Status TokenGate::CheckFrame(const Visitor& visitor, const JobClaims& claims, uint64_t job,
                             uint32_t epoch, uint8_t verb) {
  if (job == claims.job && epoch == claims.epoch && (claims.verbs & verb) != 0) return Status();
  return Refuse(visitor, AuthFailure::kForbidden,
                Status(Code::kPermissionDenied,
                       fmt::format("a frame of job {:016x}, epoch {} ({}) on a stream with a token "
                                   "of job {:016x}, epoch {}",
                                   job, epoch, verb == kVerbPush ? "push" : "pull", claims.job,
                                   claims.epoch)));
}

Status TokenGate::Refuse(const Visitor& visitor, AuthFailure failure, Status status) {
  if (on_refused_ != nullptr) on_refused_(failure);
  const std::string who =
      visitor.certificate ? ToString(*visitor.certificate) : "worker " + Quote(visitor.worker);
  log_.Write(kCall, fmt::format("{} at {}", who, visitor.peer), failure, status);
  return status;
}

}  // namespace drover
