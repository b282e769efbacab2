#include "common/base/clock.h"

#include <thread>

namespace drover {
namespace {

class RealClock : public Clock {
 public:
  Instant Now() const override {
    return {
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
  }
  int64_t UnixMilliseconds() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace

const Clock& Clock::Real() {
  static const RealClock clock;
  return clock;
}

void SleepFor(Duration duration) { std::this_thread::sleep_for(duration); }

}  // namespace drover
