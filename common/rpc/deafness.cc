#include "common/rpc/deafness.h"

#include <fmt/format.h>

namespace drover {

std::optional<std::string> Deafness::Observe(const Look& look, Instant now) {
  const Duration since = looked_ ? now - *looked_ : Duration(0);
  looked_ = now;
  if (look.answered) {
    silent_ = Duration(0);
    // The answer may have been given just before the sign.
    exhausted_ = look.exhausted;
    return std::nullopt;
  }
  exhausted_ = exhausted_ || look.exhausted;
  if (since <= limits_.gap) silent_ += since;
  if (silent_ < (exhausted_ ? limits_.exhausted : limits_.slow)) return std::nullopt;
  return fmt::format("no answer for {:.1f} s, {}", Seconds(silent_),
                     exhausted_ ? "and its file descriptors have run out"
                                : "though there are file descriptors left");
}

}  // namespace drover
