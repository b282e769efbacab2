// The result of anything that can fail for reasons outside this program: files, peers, users.
// Broken promises of our own code abort instead, see check.h. Value types, not shared.

#ifndef DROVER_COMMON_BASE_STATUS_H_
#define DROVER_COMMON_BASE_STATUS_H_

#include <optional>
#include <string>
#include <utility>

#include "common/base/check.h"

namespace drover {

// The numbers are gRPC's (grpc/status.h), so that a status crosses the wire by a cast.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// UPPER_SNAKE name of a code, "OK" for kOk.
const char* CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK.
  // `message` says what was being done, with values. `code` is not kOk.
  Status(Code code, std::string message);

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // "context: message"; OK stays OK.
  Status Annotate(const std::string& context) const;

  // "NOT_FOUND: message", or "OK".
  std::string ToString() const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit on purpose.
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit on purpose.
    DROVER_CHECK(!status_.ok());
  }

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }

  // Only when ok().
  const T& value() const& {
    DROVER_CHECK(ok());
    return *value_;
  }
  T& value() & {
    DROVER_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    DROVER_CHECK(ok());
    return *std::move(value_);
  }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace drover

#define DROVER_RETURN_IF_ERROR(expression)                                    \
  do {                                                                        \
    if (::drover::Status drover_status = (expression); !drover_status.ok()) { \
      return drover_status;                                                   \
    }                                                                         \
  } while (false)

#endif  // DROVER_COMMON_BASE_STATUS_H_
