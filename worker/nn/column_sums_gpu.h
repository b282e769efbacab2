// Sums over the rows of a matrix on a GPU, in one order: gradients of biases and of whatever else
// is shared by all rows. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_COLUMN_SUMS_GPU_H_
#define DROVER_WORKER_NN_COLUMN_SUMS_GPU_H_

#include <cstddef>
#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_products.h"
#include "worker/nn/gpu_values.h"

namespace drover {

// sum[j] = values[0][j] + values[1][j] + ..., added to what is there if it accumulates; float32
// sums over slices of the rows in their order, then over the slices in theirs. values: [rows,
// columns]; sum: [columns]; scratch: ColumnSumsScratchBytes(rows, columns).
Status ColumnSumsOnGpu(int64_t rows, int64_t columns, ConstGpuValues values, const GradientSum& sum,
                       float* scratch, const GpuStream& stream);
// The same of a matrix inside an array, not transposed.
Status ColumnSumsOnGpu(int64_t rows, int64_t columns, const ConstGpuMatrix& matrix,
                       const GradientSum& sum, float* scratch, const GpuStream& stream);
size_t ColumnSumsScratchBytes(int64_t rows, int64_t columns);

// The second half of such sums: sum[j] = slices.sums[0][j] + ... over the slices, added to what is
// there if it accumulates. Every eighth slice makes one sum, in order, and those eight are added in
// order.
struct SliceSumsOnGpu {
  int64_t slices;
  int64_t columns;
  int64_t stride;     // From one slice to the next, in values.
  const float* sums;  // [slices, columns] of rows of `stride` values.
};
Status AddSlicesOnGpu(const SliceSumsOnGpu& slices, const GradientSum& sum,
                      const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_COLUMN_SUMS_GPU_H_
