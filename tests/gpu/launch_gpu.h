// A kernel that uses everything common/gpu/kernel.h offers, the way the update does: blocks draw
// tickets, add up in their own memory, and hand on in order. If this gives wrong bits, look at the
// machine or at kernel.h before looking at the optimizer. Only for tests.

#ifndef DROVER_TESTS_GPU_LAUNCH_GPU_H_
#define DROVER_TESTS_GPU_LAUNCH_GPU_H_

#include <cstddef>
#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

inline constexpr size_t kOrderedSumTile = 1024;    // Elements per ticket.
inline constexpr size_t kOrderedSumThreads = 128;  // Each adds every 128th element of a tile.

// sum: one float64, becomes the sum of values [size], in the order: elements of a thread, threads
// of a tile, tiles. tickets: two uint32 that the launch zeroes. All memory of the device.
Status EnqueueOrderedSum(const GpuStream& stream, const float* values, size_t size, double* sum,
                         uint32_t* tickets, int blocks);

}  // namespace drover

#endif  // DROVER_TESTS_GPU_LAUNCH_GPU_H_
