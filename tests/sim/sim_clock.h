// Time and chance of one simulated history: everything that happens is an entry in one ordered
// list, and every choice comes from one seed. One thread.

#ifndef DROVER_TESTS_SIM_SIM_CLOCK_H_
#define DROVER_TESTS_SIM_SIM_CLOCK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "common/base/clock.h"
#include "common/base/philox.h"

namespace drover::sim {

class SimClock {
 public:
  explicit SimClock(uint64_t seed) : seed_(seed) {}

  Instant now() const { return now_; }

  void After(Duration delay, std::function<void()> what) {
    todo_.emplace(std::pair(now_ + delay, next_++), std::move(what));
  }

  // Does the next thing. False when nothing is left.
  bool Step() {
    if (todo_.empty()) return false;
    const auto first = todo_.begin();
    now_ = first->first.first;
    const std::function<void()> what = std::move(first->second);
    todo_.erase(first);
    what();
    return true;
  }

  // Uniform in [0, bound).
  uint64_t Draw(uint64_t bound) {
    const std::array<uint32_t, 4> words = Philox(seed_, 0, draws_++);
    return ((static_cast<uint64_t>(words[0]) << 32) | words[1]) % bound;
  }
  bool Chance(uint64_t per_mille) { return Draw(1000) < per_mille; }
  Duration Between(int64_t from_us, int64_t to_us) {
    const uint64_t width = static_cast<uint64_t>(to_us - from_us);
    return std::chrono::microseconds(from_us + static_cast<int64_t>(Draw(width)));
  }

 private:
  const uint64_t seed_;
  uint64_t draws_ = 0;
  Instant now_;
  uint64_t next_ = 0;
  std::map<std::pair<Instant, uint64_t>, std::function<void()>> todo_;
};

}  // namespace drover::sim

#endif  // DROVER_TESTS_SIM_SIM_CLOCK_H_
