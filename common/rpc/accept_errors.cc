#include "common/rpc/accept_errors.h"

#include <grpc/support/log.h>

#include <atomic>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/base/quote.h"
#include "common/rpc/rate_limit.h"

namespace drover {
namespace {

// gRPC's log function is one for the process and takes no argument, so this is too.
std::atomic<bool> accept_error{false};

void OnGrpcLine(gpr_log_func_args* line) {
  const std::string_view message = line->message;
  if (message.starts_with("Failed accept")) accept_error.store(true);
  static RateLimit& lines = *new RateLimit();  // Threads of gRPC may outlive main.
  if (!lines.Allow("", {kGrpcLinesPerSecond, kGrpcLinesPerSecond}, Clock::Real().Now())) return;
  LogWarning("gRPC says {}", Quote(std::string(message)));
}

}  // namespace

void ListenToGrpcLog() { gpr_set_log_function(&OnGrpcLine); }

bool TakeAcceptError() { return accept_error.exchange(false); }

}  // namespace drover
