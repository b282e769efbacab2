// Fills a short batch up to a whole micro-batch with harmless samples: zeros, texts of one token,
// no masked position. Not thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_PADDED_BATCH_H_
#define DROVER_WORKER_NN_PADDED_BATCH_H_

#include <cstdint>
#include <vector>

#include "worker/nn/batch.h"

namespace drover {

class PaddedBatch {
 public:
  // Values per sample of Batch's arrays; 0 for those that are not used.
  struct Sizes {
    int64_t inputs = 0;
    int64_t tokens = 0;
    int64_t masked = 0;
    int64_t targets = 0;
  };
  PaddedBatch(int64_t micro_batch, const Sizes& sizes) : micro_batch_(micro_batch), sizes_(sizes) {}

  // `batch` itself if it is full, else a copy with its samples first, valid until the next call.
  // `positions` is never null in what is returned.
  const Batch* Pad(const Batch& batch);
  const Batch* batch() const { return &batch_; }  // What Pad returned last.

 private:
  const int64_t micro_batch_;
  const Sizes sizes_;
  Batch batch_;
  std::vector<float> inputs_, targets_;
  std::vector<int32_t> labels_, tokens_, segments_, lengths_, masked_positions_, masked_labels_;
  std::vector<uint64_t> positions_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_PADDED_BATCH_H_
