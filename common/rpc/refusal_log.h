// The lines of the audit log about what was refused: some of them, so that a flood does not fill
// the disk. Beside it, every refusal is counted by whoever refuses. Thread-safe.

#ifndef DROVER_COMMON_RPC_REFUSAL_LOG_H_
#define DROVER_COMMON_RPC_REFUSAL_LOG_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace drover {

// Why a call was refused; as the label of drover_auth_failures_total.
enum class AuthFailure {
  kNoCredentials,
  kBadToken,
  kBadCertificate,
  kForbidden,
  kExpiredToken,
  kStaleToken,  // Of an epoch that is over, or of a job that is not here: also a matter of timing.
  kTooMany,     // Calls or streams of one caller.
};
const char* AuthFailureName(AuthFailure failure);

class RefusalLog {
 public:
  static constexpr int kLinesPerSecond = 20;

  explicit RefusalLog(const Clock& clock = Clock::Real()) : clock_(clock) {}

  // One line, or one more in the count of those that were left out.
  void Write(std::string_view call, const std::string& caller, AuthFailure failure,
             const Status& status) DROVER_EXCLUDES(mutex_);

 private:
  const Clock& clock_;
  Mutex mutex_;
  int64_t second_ DROVER_GUARDED_BY(mutex_) = 0;
  int64_t lines_ DROVER_GUARDED_BY(mutex_) = 0;  // In that second.
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_REFUSAL_LOG_H_
