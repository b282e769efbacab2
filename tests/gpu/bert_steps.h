// Micro-batches of BERT pre-training on made-up text, through the model that a worker uses, and how
// long they take. For the benchmark on a GPU, and for a small run of it on the emulator.

#ifndef DROVER_TESTS_GPU_BERT_STEPS_H_
#define DROVER_TESTS_GPU_BERT_STEPS_H_

#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "worker/nn/batch.h"
#include "worker/nn/bert.h"
#include "worker/nn/leaf_model.h"

namespace drover {

// Devlin et al. 2018, section 3: BERT-large. The vocabulary is padded to a multiple of 8.
BertSizes BertLargeSizes();

// One length of sequences, as in the two phases of pre-training.
struct BertPhase {
  int64_t tokens;
  int64_t predictions;
};

// Floating-point operations of one sequence, forward and backward: 6 per weight of a matrix and row
// that it multiplies, 12 L S^2 H for attention's two products. The decoder sees masked tokens only.
double FlopsPerSequence(const BertSizes& sizes, const BertPhase& phase);

// Full sequences of random tokens; both heads have something to learn.
class MadeUpText {
 public:
  MadeUpText(const BertSizes& sizes, const BertPhase& phase, int64_t samples);
  Batch batch() const;

 private:
  const int64_t samples_;
  std::vector<int32_t> tokens_, segments_, lengths_, positions_, masked_labels_, labels_;
  std::vector<uint64_t> stream_;
};

// Seconds of `micro_batches` micro-batches, forward and backward, as one leaf that is added on the
// device and stays there; one such leaf before, not counted. `weights`: the parameter space.
Result<double> SecondsOfLeaf(LeafModel* model, const Batch& batch, int micro_batches,
                             const std::vector<float>& weights);

}  // namespace drover

#endif  // DROVER_TESTS_GPU_BERT_STEPS_H_
