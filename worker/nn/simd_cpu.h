// DROVER_SIMD in front of a function of worker/nn/*_cpu.cc: GCC compiles it once per instruction
// set and the loader takes the widest that this CPU has. All give the same bits: float operations
// are rounded one by one on each (-ffp-contract=off), and GCC does not reorder sums. Functions that
// such a function inlines are part of it. The kernels of server/optim do the same file by file,
// because tests call each of their versions.

#ifndef DROVER_WORKER_NN_SIMD_CPU_H_
#define DROVER_WORKER_NN_SIMD_CPU_H_

// Sanitizers' instrumentation must not run before the loader has chosen.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DROVER_SIMD __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define DROVER_SIMD
#endif

#endif  // DROVER_WORKER_NN_SIMD_CPU_H_
