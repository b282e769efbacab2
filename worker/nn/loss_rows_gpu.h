// What heads on a GPU know of each row that has a loss, and its sums. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_LOSS_ROWS_GPU_H_
#define DROVER_WORKER_NN_LOSS_ROWS_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_head.h"

namespace drover {

// Of one row: a sample, or an entry that may ask for a masked token. All 0 where nothing was asked.
struct LossRow {
  double loss;
  int32_t asked;    // 0 or 1
  int32_t correct;  // 0 or 1
};

// The rows of a micro-batch on the device. Masked entries: [masked_count], null if the head has
// none; `entries_per_sample` of them in a row are one sample's, and each counts with the sample's
// share in loss_sum.
struct LossRows {
  const LossRow* samples;  // [sample_count]
  int64_t sample_count;
  const LossRow* masked = nullptr;
  int64_t masked_count = 0;
  const double* shares = nullptr;  // [masked_count / entries_per_sample]
  int64_t entries_per_sample = 1;
};

// All fields of *result, each a sum in one order.
Status AddLossRowsOnGpu(const LossRows& rows, GpuBatchResult* result, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LOSS_ROWS_GPU_H_
