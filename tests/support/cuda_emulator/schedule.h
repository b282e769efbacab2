// Every choice that real hardware makes by timing, made here by a seed. Not thread-safe: callers
// hold the emulator's lock (state.h).

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SCHEDULE_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SCHEDULE_H_

#include <cstddef>
#include <cstdint>

namespace drover::emulator {

class Schedule {
 public:
  enum class Order { kForward, kReverse, kShuffled };

  explicit Schedule(uint64_t seed);

  Order order() const { return order_; }

  // Which of `count` goes on, 0 for the first in line in forward order. `count` is not 0.
  size_t Choose(size_t count);

  // Whether the block whose thread ran last stays on.
  bool StaysInBlock() { return Chance(stay_in_block_); }
  // Whether a thread is interrupted before an access to memory that threads share, before an
  // atomic operation or one that acquires or releases.
  bool InterruptsShared() { return Chance(interrupt_shared_); }
  bool InterruptsAtomic() { return Chance(interrupt_atomic_); }
  // Whether a stream does one more operation before anybody waits for it.
  bool StreamRunsAhead() { return Chance(stream_runs_ahead_); }
  // Whether the stream somebody waits for goes first.
  bool PrefersAwaitedStream() { return Chance(prefer_awaited_stream_); }
  // How many of at most `limit` blocks are there at the same time.
  size_t BlocksAlive(size_t limit);

 private:
  uint64_t Next();
  bool Chance(double probability);

  uint64_t state_;
  Order order_ = Order::kForward;
  double stay_in_block_ = 1;
  double interrupt_shared_ = 0;
  double interrupt_atomic_ = 0;
  double stream_runs_ahead_ = 0;
  double prefer_awaited_stream_ = 1;
};

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SCHEDULE_H_
