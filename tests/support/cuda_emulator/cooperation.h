// How threads of a running kernel act together: what the functions of CUDA in device_functions.h
// and those of common/gpu/kernel.h are made of. Only inside a kernel.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_COOPERATION_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_COOPERATION_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/support/cuda_emulator/site.h"

namespace drover::emulator {

enum class BarrierKind { kPlain, kOr, kAnd, kCount };

// Waits for all threads of the block; returns how many gave a predicate that is not 0.
int WaitForBlock(BarrierKind kind, int predicate, const Site& site);

enum class WarpFunction { kSync, kBallot, kShuffle, kShuffleUp, kShuffleDown, kShuffleXor };

struct WarpCall {
  WarpFunction function;
  unsigned int mask;  // The lanes that take part.
  uint64_t value;     // What this lane gives: its bits, or a predicate.
  unsigned int lane;  // Source lane, distance or mask of a shuffle.
  int width;          // Lanes per segment of a shuffle.
};

// Waits for all lanes of the mask; returns what the function gives to this lane.
uint64_t WaitForWarp(const WarpCall& call, const Site& site);

template <typename T>
T Shuffle(WarpFunction function, unsigned int mask, T value, unsigned int lane, int width,
          const Site& site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = WaitForWarp({function, mask, bits, lane, width}, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// `*target` becomes change(*target); returns what was there before. Others may go on before it.
void BeginAtomic();
void EndAtomic(bool changed);

template <typename Integer, typename Change>
Integer Atomically(Integer* target, const Change& change) {
  BeginAtomic();
  Integer before;
  std::memcpy(&before, target, sizeof before);
  const Integer after = change(before);
  std::memcpy(target, &after, sizeof after);
  EndAtomic(after != before);
  return before;
}

// Behind the functions of common/gpu/kernel.h.
void BeginAcquire();
void SpinWait();

template <typename Integer>
Integer LoadAcquire(const Integer* source) {
  BeginAcquire();
  return *source;
}

template <typename Integer>
void StoreRelease(Integer* target, Integer value) {
  Atomically(target, [value](Integer) { return value; });
}

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_COOPERATION_H_
