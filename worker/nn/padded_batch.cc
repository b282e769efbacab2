#include "worker/nn/padded_batch.h"

#include <algorithm>
#include <numeric>

namespace drover {
namespace {

// Copies [samples, size] to the front of [micro_batch, size] and fills the rest. Null stays null.
template <typename T>
const T* Fill(const T* values, int64_t samples, int64_t micro_batch, int64_t size, T filler,
              std::vector<T>* storage) {
  if (values == nullptr) return nullptr;
  storage->assign(static_cast<size_t>(micro_batch * size), filler);
  std::copy_n(values, samples * size, storage->begin());
  return storage->data();
}

}  // namespace

const Batch* PaddedBatch::Pad(const Batch& batch) {
  batch_ = batch;
  const int64_t n = batch.samples;
  if (batch.positions == nullptr) {
    positions_.resize(static_cast<size_t>(micro_batch_));
    std::iota(positions_.begin(), positions_.end(), uint64_t{0});
    batch_.positions = positions_.data();
  }
  if (n == micro_batch_) return &batch_;
  if (batch.positions != nullptr) {
    batch_.positions = Fill(batch.positions, n, micro_batch_, 1, uint64_t{0}, &positions_);
  }
  batch_.inputs = Fill(batch.inputs, n, micro_batch_, sizes_.inputs, 0.0f, &inputs_);
  batch_.targets = Fill(batch.targets, n, micro_batch_, sizes_.targets, 0.0f, &targets_);
  batch_.labels = Fill(batch.labels, n, micro_batch_, 1, 0, &labels_);
  batch_.tokens = Fill(batch.tokens, n, micro_batch_, sizes_.tokens, 0, &tokens_);
  batch_.segments = Fill(batch.segments, n, micro_batch_, sizes_.tokens, 0, &segments_);
  batch_.lengths = Fill(batch.lengths, n, micro_batch_, 1, 1, &lengths_);
  batch_.masked_positions =
      Fill(batch.masked_positions, n, micro_batch_, sizes_.masked, 0, &masked_positions_);
  batch_.masked_labels =
      Fill(batch.masked_labels, n, micro_batch_, sizes_.masked, -1, &masked_labels_);
  return &batch_;
}

}  // namespace drover
