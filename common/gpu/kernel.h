// What the device side of every .cu file is written with; it includes this and no header of CUDA.
// nvcc turns the macros into CUDA's own syntax. A host compiler that finds the <cuda_runtime.h> of
// tests/support/cuda_emulator turns them into calls of the emulator, which runs the same file
// without a GPU and checks what it does. No `<<<` and no `__shared__` stands anywhere else, and
// nothing adds floats atomically: the order of arrival would change bits.
//
// How to write a kernel that both accept: docs/adding.md. Host side: common/gpu/device.h.

#ifndef DROVER_COMMON_GPU_KERNEL_H_
#define DROVER_COMMON_GPU_KERNEL_H_

#include <cuda_runtime.h>

#include <type_traits>

// DROVER_LAUNCH(kernel, grid, block, dynamic_shared_bytes, stream, arguments...) puts a kernel into
// `stream`; cudaGetLastError() then says whether it was accepted. A template with commas stands in
// brackets: DROVER_LAUNCH((UpdateKernel<kRule, 4>), ...).
//
// DROVER_SHARED_ARRAY(type, name, count) declares an array that the threads of a block share, with
// a constant count. Use it as name[i] only, whole elements in and out: no pointer into it, no
// member of an element. A device function takes it as a template parameter, `Array& name`.
//
// DROVER_UNROLL before a loop with a constant number of rounds: arrays that it indexes then stay in
// registers.
#ifdef __CUDACC__
#define DROVER_UNROLL _Pragma("unroll")
#else
#define DROVER_UNROLL
#endif

#ifdef __CUDACC__
#define DROVER_LAUNCH(kernel, grid, block, dynamic_shared_bytes, stream, ...) \
  kernel<<<(grid), (block), (dynamic_shared_bytes), (stream)>>>(__VA_ARGS__)
#define DROVER_SHARED_ARRAY(type, name, count) __shared__ type name[count]
#else
#define DROVER_LAUNCH(kernel, grid, block, dynamic_shared_bytes, stream, ...)          \
  ::drover::emulator::Launch(#kernel, (kernel), (grid), (block), dynamic_shared_bytes, \
                             stream __VA_OPT__(, ) __VA_ARGS__)
#define DROVER_SHARED_ARRAY(type, name, count) \
  const ::drover::emulator::SharedArray<type, count> name(#name)
#endif

namespace drover {

// An integer that atomics know.
template <typename Integer>
inline constexpr bool kIsAtomicInteger = std::is_integral_v<Integer> &&
                                         (sizeof(Integer) == 4 || sizeof(Integer) == 8);

// Adds to an integer in device memory, modulo 2^bits, and returns what was there before. Ordered
// with nothing else: see StoreRelease.
template <typename Integer>
__device__ __forceinline__ Integer AddInteger(Integer* target,
                                              std::type_identity_t<Integer> increment) {
  static_assert(kIsAtomicInteger<Integer>, "only integers: floats would add up in any order");
  using Word = std::conditional_t<sizeof(Integer) == 4, unsigned int, unsigned long long>;
  return static_cast<Integer>(
      atomicAdd(reinterpret_cast<Word*>(target), static_cast<Word>(increment)));
}

// The smaller of both stays in device memory; returns what was there before.
template <typename Integer>
__device__ __forceinline__ Integer MinInteger(Integer* target,
                                              std::type_identity_t<Integer> value) {
  static_assert(kIsAtomicInteger<Integer>, "only integers");
  using Signed = std::conditional_t<sizeof(Integer) == 4, int, long long>;
  using Word = std::conditional_t<std::is_signed_v<Integer>, Signed, std::make_unsigned_t<Signed>>;
  return static_cast<Integer>(atomicMin(reinterpret_cast<Word*>(target), static_cast<Word>(value)));
}

// Waiting for another block, as
//   writer: results; then one thread StoreRelease(&flag, 1), or __threadfence() and AddInteger
//   reader: while (LoadAcquire(&flag) == 0) SpinWait(); then results
// Whoever reads the new value sees everything that its writer wrote before. Results of the other
// threads of a block come first only with a __syncthreads() before the release or after the
// acquire. Waiting ends only if the other block runs: wait for blocks that have drawn an earlier
// ticket, never for a higher blockIdx.
template <typename Integer>
__device__ __forceinline__ Integer LoadAcquire(const Integer* source) {
  static_assert(kIsAtomicInteger<Integer>, "only integers");
#ifdef __CUDACC__
  Integer value;
  if constexpr (sizeof(Integer) == 4) {
    asm volatile("ld.acquire.gpu.b32 %0, [%1];" : "=r"(value) : "l"(source) : "memory");
  } else {
    asm volatile("ld.acquire.gpu.b64 %0, [%1];" : "=l"(value) : "l"(source) : "memory");
  }
  return value;
#else
  return ::drover::emulator::LoadAcquire(source);
#endif
}

template <typename Integer>
__device__ __forceinline__ void StoreRelease(Integer* target, std::type_identity_t<Integer> value) {
  static_assert(kIsAtomicInteger<Integer>, "only integers");
#ifdef __CUDACC__
  if constexpr (sizeof(Integer) == 4) {
    asm volatile("st.release.gpu.b32 [%0], %1;" ::"l"(target), "r"(value) : "memory");
  } else {
    asm volatile("st.release.gpu.b64 [%0], %1;" ::"l"(target), "l"(value) : "memory");
  }
#else
  ::drover::emulator::StoreRelease(target, value);
#endif
}

// The body of every loop that waits.
__device__ __forceinline__ void SpinWait() {
#ifdef __CUDACC__
  __nanosleep(64);
#else
  ::drover::emulator::SpinWait();
#endif
}

}  // namespace drover

#endif  // DROVER_COMMON_GPU_KERNEL_H_
