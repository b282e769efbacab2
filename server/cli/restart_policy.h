// When a child process that died is started again. Pure; not thread-safe.

#ifndef DROVER_SERVER_CLI_RESTART_POLICY_H_
#define DROVER_SERVER_CLI_RESTART_POLICY_H_

#include <chrono>
#include <deque>
#include <optional>

#include "common/base/clock.h"

namespace drover {

class RestartPolicy {
 public:
  static constexpr int kDeathsMax = 5;
  static constexpr std::chrono::seconds kWindow{30};
  static constexpr std::chrono::milliseconds kFirstWait{100};  // Doubles with each recent death.

  // A death at `now`: how long to wait, or nothing after kDeathsMax deaths within kWindow.
  std::optional<Duration> OnDeath(Instant now) {
    deaths_.push_back(now);
    while (now - deaths_.front() > kWindow) deaths_.pop_front();
    const auto recent = static_cast<int>(deaths_.size());
    if (recent >= kDeathsMax) return std::nullopt;
    return kFirstWait * (1 << (recent - 1));
  }

 private:
  std::deque<Instant> deaths_;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_RESTART_POLICY_H_
