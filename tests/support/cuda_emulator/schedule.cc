#include "tests/support/cuda_emulator/schedule.h"

namespace drover::emulator {

Schedule::Schedule(uint64_t seed) : state_(seed) {
  if (seed == 0) return;
  if (seed == 1) {
    order_ = Order::kReverse;
    stream_runs_ahead_ = 1;
    return;
  }
  constexpr double kStay[] = {0, 0.5, 0.98};
  constexpr double kInterrupt[] = {0, 1.0 / 256, 1.0 / 16, 0.5};
  constexpr double kAhead[] = {0, 0.3, 0.9};
  order_ = Order::kShuffled;
  stay_in_block_ = kStay[Next() % 3];
  interrupt_shared_ = kInterrupt[Next() % 3];
  interrupt_atomic_ = kInterrupt[Next() % 4];
  stream_runs_ahead_ = kAhead[Next() % 3];
  prefer_awaited_stream_ = kAhead[Next() % 3];
}

size_t Schedule::Choose(size_t count) {
  switch (order_) {
    case Order::kForward:
      return 0;
    case Order::kReverse:
      return count - 1;
    case Order::kShuffled:
      break;
  }
  return Next() % count;
}

size_t Schedule::BlocksAlive(size_t limit) {
  return order_ == Order::kShuffled ? 1 + Next() % limit : limit;
}

// splitmix64, Steele, Lea and Flood 2014.
uint64_t Schedule::Next() {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

bool Schedule::Chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(Next() >> 11) * 0x1p-53 < probability;
}

}  // namespace drover::emulator
