// Atomic operations, and loops that wait for one of another thread.

#include "tests/support/cuda_emulator/device_functions.h"
#include "tests/support/cuda_emulator/grid.h"

namespace drover::emulator {
namespace {

// A loop that acquires so often without SpinWait() is taken for one that waits for ever.
constexpr int kAcquiresInARowMax = 1 << 20;

void PauseRunnable(Grid* grid) {
  Wake(&grid->running());
  grid->Pause();
}

}  // namespace

void BeginAtomic() {
  Grid& grid = RunningGrid();
  grid.running().acquires_in_a_row = 0;
  if (grid.schedule().InterruptsAtomic()) PauseRunnable(&grid);
}

void EndAtomic(bool changed) {
  Grid& grid = RunningGrid();
  if (changed) grid.NoteChange();
  if (grid.schedule().InterruptsAtomic()) PauseRunnable(&grid);
}

void BeginAcquire() {
  Grid& grid = RunningGrid();
  if (grid.schedule().InterruptsAtomic()) PauseRunnable(&grid);
  if (++grid.running().acquires_in_a_row > kAcquiresInARowMax) {
    grid.FailIf("calls LoadAcquire again and again: a loop that waits must call SpinWait");
  }
}

// Sleeps until memory changes, unless it has changed since the loop last woke: then what the loop
// waits for may have come between its look and this call.
void SpinWait() {
  Grid& grid = RunningGrid();
  Thread& self = grid.running();
  self.acquires_in_a_row = 0;
  if (self.changes_seen == grid.changes()) {
    self.waiting = Waiting::kSpin;
    grid.Pause();
  } else {
    self.changes_seen = grid.changes();
    PauseRunnable(&grid);
  }
  grid.running().changes_seen = grid.changes();
}

}  // namespace drover::emulator

void __threadfence() { drover::emulator::RunningGrid().NoteChange(); }

#define DROVER_ATOMIC(name, type, after)                                            \
  type atomic##name(type* target, type value) {                                     \
    return drover::emulator::Atomically(                                            \
        target, [value](type before) -> type { return static_cast<type>(after); }); \
  }
#define DROVER_ATOMIC_CAS(type)                                                            \
  type atomicCAS(type* target, type expected, type desired) {                              \
    return drover::emulator::Atomically(target, [expected, desired](type before) -> type { \
      return before == expected ? desired : before;                                        \
    });                                                                                    \
  }
DROVER_ATOMIC(Add, int, static_cast<unsigned int>(before) + static_cast<unsigned int>(value))
DROVER_ATOMIC(Add, unsigned int, before + value)
DROVER_ATOMIC(Add, unsigned long long, before + value)
DROVER_ATOMIC(Min, int, value < before ? value : before)
DROVER_ATOMIC(Min, unsigned int, value < before ? value : before)
DROVER_ATOMIC(Min, long long, value < before ? value : before)
DROVER_ATOMIC(Min, unsigned long long, value < before ? value : before)
DROVER_ATOMIC(Max, int, value > before ? value : before)
DROVER_ATOMIC(Max, unsigned int, value > before ? value : before)
DROVER_ATOMIC(Max, long long, value > before ? value : before)
DROVER_ATOMIC(Max, unsigned long long, value > before ? value : before)
DROVER_ATOMIC(Exch, int, value + 0 * before)
DROVER_ATOMIC(Exch, unsigned int, value + 0 * before)
DROVER_ATOMIC(Exch, unsigned long long, value + 0 * before)
DROVER_ATOMIC_CAS(int)
DROVER_ATOMIC_CAS(unsigned int)
DROVER_ATOMIC_CAS(unsigned long long)
