// Softmax and cross-entropy of rows of logits on a GPU, with the gradient: for a few classes as for
// a vocabulary. Formulas: softmax_cross_entropy.h. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_SOFTMAX_ROWS_GPU_H_
#define DROVER_WORKER_NN_SOFTMAX_ROWS_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_values.h"
#include "worker/nn/loss_rows_gpu.h"

namespace drover {

// Nothing is asked of rows from `real_rows` on and of those whose label is below 0: their gradient
// is 0. Logits and gradient: [rows, classes], row r begins at r * stride.
struct SoftmaxRows {
  int64_t rows;
  int64_t real_rows;
  int64_t classes;  // 1 to 2^31 - 1
  int64_t stride;
  ConstGpuValues logits;
  GpuValues gradient;     // Null: not wanted. May be the logits; else bfloat16 for float32 logits,
                          // or of their type.
  const int32_t* labels;  // [rows], below `classes`.
  const double* shares;   // Gradients of row r are multiplied by shares[(first_row + r) /
                          // rows_per_share]. Null: 1.
  int64_t first_row = 0;
  int64_t rows_per_share = 1;
  LossRow* losses;  // [rows], without the share.
};

Status SoftmaxRowsOnGpu(const SoftmaxRows& rows, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_SOFTMAX_ROWS_GPU_H_
