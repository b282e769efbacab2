#include "common/rpc/refusal_log.h"

#include <algorithm>

#include "common/base/logging.h"
#include "common/base/quote.h"

namespace drover {

const char* AuthFailureName(AuthFailure failure) {
  switch (failure) {
    case AuthFailure::kNoCredentials:
      return "no_credentials";
    case AuthFailure::kBadToken:
      return "bad_token";
    case AuthFailure::kBadCertificate:
      return "bad_certificate";
    case AuthFailure::kForbidden:
      return "forbidden";
    case AuthFailure::kExpiredToken:
      return "expired_token";
    case AuthFailure::kStaleToken:
      return "stale_token";
    case AuthFailure::kTooMany:
      return "too_many";
  }
  return "unknown";
}

void RefusalLog::Write(std::string_view call, const std::string& caller, AuthFailure failure,
                       const Status& status) {
  const int64_t second = clock_.UnixMilliseconds() / 1000;
  int64_t hidden = 0;
  {
    MutexLock lock(&mutex_);
    if (second != second_) {
      hidden = std::max<int64_t>(0, lines_ - kLinesPerSecond);
      second_ = second;
      lines_ = 0;
    }
    if (++lines_ > kLinesPerSecond) return;
  }
  if (hidden > 0) LogWarning("audit: {} more calls were refused within a second", hidden);
  LogWarning("audit: refused call={} caller={} reason={}: {}", Quote(call), caller,
             AuthFailureName(failure), status.message());
}

}  // namespace drover
