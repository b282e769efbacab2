// A micro-batch of samples as a model takes it: whichever of the arrays below its network and its
// loss read. Borrowed pointers, no behaviour.

#ifndef DROVER_WORKER_NN_BATCH_H_
#define DROVER_WORKER_NN_BATCH_H_

#include <cstdint>

namespace drover {

// S is the sequence length, M the masked positions per sample. Whoever calls a Model gives
// `samples` rows; layers and heads are handed the same batch padded to the full micro-batch.
struct Batch {
  const float* inputs = nullptr;    // [samples, input_size].
  const int32_t* labels = nullptr;  // [samples], in [0, classes).
  int64_t samples = 0;              // 1 to micro_batch.

  // Text.
  const int32_t* tokens = nullptr;            // [samples, S], in [0, vocabulary).
  const int32_t* segments = nullptr;          // [samples, S], 0 or 1.
  const int32_t* lengths = nullptr;           // [samples], 1 to S: tokens beyond are padding.
  const int32_t* masked_positions = nullptr;  // [samples, M], in [0, S).
  const int32_t* masked_labels = nullptr;     // [samples, M], the token there; -1: no such entry.

  // Regression.
  const float* targets = nullptr;  // [samples, output_size].

  // What dropout draws from: Philox keyed by the seed of the job and by where each sample stands in
  // the endless row of training samples, so that its mask does not depend on who computes it.
  uint64_t seed = 0;
  const uint64_t* positions = nullptr;  // [samples]; null: 0, 1, 2, ...
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_BATCH_H_
