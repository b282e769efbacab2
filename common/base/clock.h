// Where time comes from. Cores are handed `now`; shells own a Clock, so that tests turn time by
// hand. Thread-safe.

#ifndef DROVER_COMMON_BASE_CLOCK_H_
#define DROVER_COMMON_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace drover {

// Monotonic time since an arbitrary origin; comparable only within one process.
using Duration = std::chrono::nanoseconds;
struct Instant {
  Duration since_origin{0};

  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend Instant operator+(Instant at, Duration by) { return {at.since_origin + by}; }
  friend Duration operator-(Instant a, Instant b) { return a.since_origin - b.since_origin; }
};

inline double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
  virtual int64_t UnixMilliseconds() const = 0;

  // The machine's clock; lives for ever.
  static const Clock& Real();
};

// Blocks the calling thread; for back-off in shells, never for synchronisation.
void SleepFor(Duration duration);

}  // namespace drover

#endif  // DROVER_COMMON_BASE_CLOCK_H_
