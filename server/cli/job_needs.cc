#include "server/cli/job_needs.h"

#include <algorithm>

#include "server/optim/settings.h"

namespace drover {
namespace {

constexpr int64_t kFloatBytes = 4;
constexpr int64_t kPixels = 28 * 28;
constexpr int64_t kClasses = 10;
constexpr int64_t kSides = 2;  // An activation and its gradient.
constexpr int64_t kSegments = 2;

int64_t Dense(int64_t inputs, int64_t outputs) { return inputs * outputs + outputs; }

ModelSize SizeOfMlp(const v1::Mlp& mlp) {
  ModelSize size;
  int64_t width = kPixels;
  int64_t values = kPixels;
  for (const int64_t hidden : mlp.hidden()) {
    size.parameters += Dense(width, hidden);
    values += 2 * hidden;  // Before and after the ReLU.
    width = hidden;
  }
  size.parameters += Dense(width, kClasses);
  size.sample_bytes = kSides * kFloatBytes * (values + kClasses);
  return size;
}

// 5x5 convolutions to 32 and 64 channels, each followed by pooling to half, then 1,024 units.
ModelSize SizeOfCnn() {
  constexpr int64_t kWindow = 5 * 5;
  constexpr int64_t kFlat = 7 * 7 * 64;
  constexpr int64_t kHidden = 1024;
  ModelSize size;
  size.parameters = Dense(kWindow, 32) + Dense(kWindow * 32, 64) + Dense(kFlat, kHidden) +
                    Dense(kHidden, kClasses);
  const int64_t values = kPixels * (1 + 32) + kPixels / 4 * (2 * 32 + 64) + 2 * kFlat + 3 * kHidden;
  size.sample_bytes = kSides * kFloatBytes * values;
  return size;
}

// Encoder as in Devlin et al. 2018; the heads of pre-training share the matrix of the embedding.
// Activations by Korthikanti et al. 2022, arXiv:2205.05198, section 4.1: per layer
// s * h * (34 + 5 a s / h) bytes in 16 bits with a feed-forward block of 4 h, twice that in
// float32.
ModelSize SizeOfBert(const v1::Bert& bert, int64_t vocabulary, int64_t length) {
  const int64_t h = bert.hidden();
  const int64_t wide = bert.intermediate();
  const int64_t multiple = std::max<int64_t>(1, bert.vocabulary_multiple());
  const int64_t tokens = (vocabulary + multiple - 1) / multiple * multiple;
  ModelSize size;
  if (tokens == 0) return size;
  const int64_t norm = 2 * h;
  const int64_t embedding = (tokens + bert.positions() + kSegments) * h + norm;
  const int64_t layer = 4 * Dense(h, h) + norm + Dense(h, wide) + Dense(wide, h) + norm;
  const int64_t heads = Dense(h, h) + Dense(h, 2) + Dense(h, h) + norm + tokens;
  size.parameters = embedding + bert.layers() * layer + heads;
  const int64_t per_layer = 2 * length * (34 * h + 5 * bert.heads() * length);
  // Besides: the embedding, and the scores of all tokens at the masked seventh of the places.
  const int64_t ends = kSides * kFloatBytes * (length * 3 * h + (length / 7 + 1) * tokens);
  size.sample_bytes = bert.layers() * per_layer + ends;
  return size;
}

}  // namespace

ModelSize SizeOf(const v1::JobSpec& spec, int64_t vocabulary) {
  const v1::ModelSpec& model = spec.model();
  if (model.has_mlp()) return SizeOfMlp(model.mlp());
  if (model.has_cnn()) return SizeOfCnn();
  if (model.has_bert()) {
    return SizeOfBert(model.bert(), vocabulary, spec.dataset().text().sequence_length());
  }
  return {};
}

JobNeeds NeedsOf(const v1::JobSpec& spec, const JobPlan& plan, int64_t vocabulary, int64_t lanes) {
  constexpr int64_t kVersions = 2;  // Of the weights: a step's and the next one's.
  constexpr int64_t kSumBytes = 8;  // A sum of gradients, int64.
  const ModelSize size = SizeOf(spec, vocabulary);
  JobNeeds needs;
  needs.parameters = size.parameters;
  needs.sample_bytes = size.sample_bytes;
  needs.shard_bytes_per_parameter =
      kVersions * kFloatBytes + StateOf(plan.optimizer).arrays() * kFloatBytes + kSumBytes;
  needs.worker_bytes_per_parameter = kVersions * kFloatBytes + kSumBytes;
  needs.micro_batch = plan.phases.front().micro_batch;
  needs.leaf_samples = plan.phases.front().leaf_samples();
  needs.lanes = lanes;
  return needs;
}

}  // namespace drover
