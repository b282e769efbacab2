// The functions of CUDA that kernels call: barriers, warp functions, fences, integer atomics, hints
// to the cache, bits of floats. The same overloads as CUDA has and no more, so that what compiles
// here compiles there. Only inside a kernel.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_DEVICE_FUNCTIONS_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_DEVICE_FUNCTIONS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "tests/support/cuda_emulator/cooperation.h"
#include "tests/support/cuda_emulator/site.h"

inline void __syncthreads(const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  drover::emulator::WaitForBlock(drover::emulator::BarrierKind::kPlain, 0, site);
}
inline int __syncthreads_or(int predicate,
                            const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return drover::emulator::WaitForBlock(drover::emulator::BarrierKind::kOr, predicate, site) > 0;
}
int __syncthreads_and(int predicate,
                      const drover::emulator::Site& site = drover::emulator::Site::Here());
inline int __syncthreads_count(
    int predicate, const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return drover::emulator::WaitForBlock(drover::emulator::BarrierKind::kCount, predicate, site);
}

inline void __syncwarp(unsigned int mask = 0xffffffffu,
                       const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  drover::emulator::WaitForWarp({drover::emulator::WarpFunction::kSync, mask, 0, 0, 32}, site);
}
inline unsigned int __ballot_sync(
    unsigned int mask, int predicate,
    const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return static_cast<unsigned int>(drover::emulator::WaitForWarp(
      {drover::emulator::WarpFunction::kBallot, mask, predicate != 0 ? 1u : 0u, 0, 32}, site));
}
inline int __any_sync(unsigned int mask, int predicate,
                      const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned int mask, int predicate,
                      const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

template <typename T>
T __shfl_sync(unsigned int mask, T value, int lane, int width = 32,
              const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return drover::emulator::Shuffle(drover::emulator::WarpFunction::kShuffle, mask, value,
                                   static_cast<unsigned int>(lane), width, site);
}
template <typename T>
T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = 32,
                 const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return drover::emulator::Shuffle(drover::emulator::WarpFunction::kShuffleUp, mask, value, delta,
                                   width, site);
}
template <typename T>
T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = 32,
                   const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return drover::emulator::Shuffle(drover::emulator::WarpFunction::kShuffleDown, mask, value, delta,
                                   width, site);
}
template <typename T>
T __shfl_xor_sync(unsigned int mask, T value, int lane_mask, int width = 32,
                  const drover::emulator::Site& site = drover::emulator::Site::Here()) {
  return drover::emulator::Shuffle(drover::emulator::WarpFunction::kShuffleXor, mask, value,
                                   static_cast<unsigned int>(lane_mask), width, site);
}

// Memory here is sequentially consistent: a fence only lets waiting threads look again.
void __threadfence();

int atomicAdd(int* target, int increment);
unsigned int atomicAdd(unsigned int* target, unsigned int increment);
unsigned long long atomicAdd(unsigned long long* target, unsigned long long increment);
int atomicMin(int* target, int value);
unsigned int atomicMin(unsigned int* target, unsigned int value);
long long atomicMin(long long* target, long long value);
unsigned long long atomicMin(unsigned long long* target, unsigned long long value);
int atomicMax(int* target, int value);
unsigned int atomicMax(unsigned int* target, unsigned int value);
long long atomicMax(long long* target, long long value);
unsigned long long atomicMax(unsigned long long* target, unsigned long long value);
int atomicExch(int* target, int value);
unsigned int atomicExch(unsigned int* target, unsigned int value);
unsigned long long atomicExch(unsigned long long* target, unsigned long long value);
int atomicCAS(int* target, int expected, int desired);
unsigned int atomicCAS(unsigned int* target, unsigned int expected, unsigned int desired);
unsigned long long atomicCAS(unsigned long long* target, unsigned long long expected,
                             unsigned long long desired);

// Hints to the cache change nothing here.
template <typename T>
T __ldg(const T* source) {
  return *source;
}
template <typename T>
T __ldca(const T* source) {
  return *source;
}
template <typename T>
T __ldcg(const T* source) {
  return *source;
}
template <typename T>
T __ldcs(const T* source) {
  return *source;
}
template <typename T>
T __ldlu(const T* source) {
  return *source;
}
template <typename T>
void __stwb(T* target, std::type_identity_t<T> value) {
  *target = value;
}
template <typename T>
void __stcg(T* target, std::type_identity_t<T> value) {
  *target = value;
}
template <typename T>
void __stcs(T* target, std::type_identity_t<T> value) {
  *target = value;
}
template <typename T>
void __stwt(T* target, std::type_identity_t<T> value) {
  *target = value;
}

inline unsigned int __float_as_uint(float x) { return std::bit_cast<unsigned int>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned int x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline long long __double2ll_rn(double x) { return std::llrint(x); }
inline long long __float2ll_rn(float x) { return std::llrint(x); }
inline double __ll2double_rn(long long x) { return static_cast<double>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }
inline int __popc(unsigned int x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned int>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned int>(x)) + 1; }

// CUDA has them without a namespace.
using std::isfinite;
using std::isinf;
using std::isnan;
using std::max;
using std::min;

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_DEVICE_FUNCTIONS_H_
