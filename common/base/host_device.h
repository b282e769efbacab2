// Marks an inline function of a header that kernels for GPUs share with the CPU build, so that one
// formula stands in one place.

#ifndef DROVER_COMMON_BASE_HOST_DEVICE_H_
#define DROVER_COMMON_BASE_HOST_DEVICE_H_

#ifdef __CUDACC__
#define DROVER_HOST_DEVICE __host__ __device__
#else
#define DROVER_HOST_DEVICE
#endif

#endif  // DROVER_COMMON_BASE_HOST_DEVICE_H_
