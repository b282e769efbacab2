// Who may call what: one table for all services of all programs. What is not in it is refused to
// everybody. Pure. Thread-safe: functions only.

#ifndef DROVER_COMMON_RPC_ACCESS_H_
#define DROVER_COMMON_RPC_ACCESS_H_

#include <optional>
#include <span>
#include <string_view>

#include "common/base/status.h"
#include "common/tls/identity.h"

namespace drover {

// The least a caller must be.
enum class Access {
  kAnyIdentity,  // Any certificate or token.
  kViewer,       // Or submitter or admin.
  kSubmitter,    // Or admin.
  kAdmin,
  kWorker,  // Only that.
  kShard,   // Only that.
};

struct AccessRule {
  std::string_view method;  // As gRPC spells it: "/drover.v1.JobService/GetJob".
  Access least;
};

std::span<const AccessRule> AccessTable();

// kUnauthenticated without an identity, kPermissionDenied when the method is not in the table or
// asks for more.
Status Authorize(std::string_view method, const std::optional<Identity>& caller);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_ACCESS_H_
