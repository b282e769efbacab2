// What tests may ask of the emulator of CUDA. It runs every kernel in an order that a seed chooses;
// a kernel with a missing barrier, or one whose result depends on the order, is reported or gives
// changing results. Any thread may call; kernels and copies run one at a time.
//
// The emulator cannot show: a missing __threadfence (its memory is sequentially consistent), races
// on device memory between two accesses that no barrier, atomic or shared access separates, a
// missing event between streams of one graph (graphs replay in the order of the calls), host code
// that reads device memory, loops that wait without LoadAcquire, and a missing wait for a copy into
// shared memory (async_copy.cuh copies at once). AddressSanitizer sees the ends of a kernel's local
// arrays only until its first barrier.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_EMULATOR_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_EMULATOR_H_

#include <cstdint>
#include <string>
#include <vector>

namespace drover::emulator {

// Chooses the order of threads, blocks and streams from now on. 0 runs them in order and streams as
// late as possible; 1 in reverse order and streams at once; all others shuffle.
void SetSeed(uint64_t seed);

// Calls body(seed) for the seeds 0 to `seeds` - 1, each set before; then goes back to seed 0.
template <typename Body>
void ForEachSeed(uint64_t seeds, const Body& body) {
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    SetSeed(seed);
    body(seed);
  }
  SetSeed(0);
}

// What kernels and copies did wrong since the last call, each with the place; empty when all is
// well. After an error every call of the runtime fails with cudaErrorLaunchFailure, as CUDA does;
// TakeErrors makes the device usable again.
std::vector<std::string> TakeErrors();

// Kernels that have run so far, those inside graphs too.
int64_t LaunchCount();

// Allocations of device and pinned memory that are not freed yet.
int64_t AllocationCount();

// The next allocation, of either kind, fails with cudaErrorMemoryAllocation.
void FailNextAllocation();

// Calls at which the host stands still on a real device, since the last TakeHostWaits().
struct HostWaits {
  int64_t streams = 0;         // Waits for a stream.
  int64_t events = 0;          // Waits for an event that was not reached yet.
  int64_t allocations = 0;     // Memory of either kind made or freed.
  int64_t pageable_bytes = 0;  // Copied to or from memory of the host that is not pinned.
};
HostWaits TakeHostWaits();

// How many devices there are, 1 at first. With 0, the runtime says cudaErrorNoDevice.
void SetDeviceCount(int count);

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_EMULATOR_H_
