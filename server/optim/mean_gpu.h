// The mean gradient of complete sums on a GPU, with the bits of FixedPointPasses
// (common/tensor/fixed_point.h). Puts kernels into a stream and returns; arguments are device
// memory that stays until the stream has passed. Any thread. kInternal when the runtime refuses a
// launch; kUnimplemented in a build without CUDA.

#ifndef DROVER_SERVER_OPTIM_MEAN_GPU_H_
#define DROVER_SERVER_OPTIM_MEAN_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "server/optim/update_tables.h"

namespace drover {

// gradient = float32(double(sums) * mean_factor) for `tables`, a plan of any number of whole
// blocks; gaps between tensors are left alone. strip_squares: [strip_count] scratch; block_squares:
// [block_count], sums of squares of the results in the order of square_sum.h.
Status ConvertOnGpu(const UpdateTables& tables, const int64_t* sums, double mean_factor,
                    float* gradient, double* strip_squares, double* block_squares,
                    const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_MEAN_GPU_H_
