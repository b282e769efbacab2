// 2^x and 1 / x by the special function units of a GPU: one instruction each, about 2 ulp off,
// subnormals are 0. For what is rounded to 8 bits right after: the last bits differ between
// generations of GPUs, and between them and the emulator. Elsewhere: float_exp.h.

#ifndef DROVER_WORKER_NN_FAST_FLOAT_CUH_
#define DROVER_WORKER_NN_FAST_FLOAT_CUH_

#include <math.h>

#include "common/gpu/kernel.h"

namespace drover {

__device__ __forceinline__ float FastExp2(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2f(x);
#endif
}

__device__ __forceinline__ float FastReciprocal(float x) {
#ifdef __CUDACC__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1.0f / x;
#endif
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_FAST_FLOAT_CUH_
