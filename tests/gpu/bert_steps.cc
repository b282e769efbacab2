#include "tests/gpu/bert_steps.h"

#include "common/base/clock.h"
#include "common/base/philox.h"

namespace drover {

BertSizes BertLargeSizes() {
  return {.layers = 24,
          .hidden = 1024,
          .heads = 16,
          .intermediate = 4096,
          .positions = 512,
          .vocabulary = 30528,
          .dropout = 0.1};
}

double FlopsPerSequence(const BertSizes& sizes, const BertPhase& phase) {
  const auto hidden = static_cast<double>(sizes.hidden);
  const auto inner = static_cast<double>(sizes.intermediate);
  const auto tokens = static_cast<double>(phase.tokens);
  const auto layers = static_cast<double>(sizes.layers);
  const double encoder = layers * (4 * hidden * hidden + 2 * hidden * inner) * tokens;
  const double attention = 2 * layers * tokens * tokens * hidden;
  const double masked = (hidden * hidden + hidden * static_cast<double>(sizes.vocabulary)) *
                        static_cast<double>(phase.predictions);
  const double pooler = hidden * hidden + 2 * hidden;
  return 6 * (encoder + attention + masked + pooler);
}

MadeUpText::MadeUpText(const BertSizes& sizes, const BertPhase& phase, int64_t samples)
    : samples_(samples) {
  for (int64_t sample = 0; sample < samples; ++sample) {
    const auto draw = [sample](int64_t stream, int64_t i, int64_t below) {
      const uint32_t word = Philox(static_cast<uint64_t>(stream), static_cast<uint64_t>(sample),
                                   static_cast<uint64_t>(i))[0];
      return static_cast<int32_t>(word % static_cast<uint32_t>(below));
    };
    for (int64_t i = 0; i < phase.tokens; ++i) {
      tokens_.push_back(draw(1, i, sizes.vocabulary));
      segments_.push_back(i < phase.tokens / 2 ? 0 : 1);
    }
    for (int64_t i = 0; i < phase.predictions; ++i) {
      positions_.push_back(static_cast<int32_t>(i * phase.tokens / phase.predictions));
      masked_labels_.push_back(draw(2, i, sizes.vocabulary));
    }
    lengths_.push_back(static_cast<int32_t>(phase.tokens));
    labels_.push_back(draw(3, 0, 2));
    stream_.push_back(static_cast<uint64_t>(sample));
  }
}

Batch MadeUpText::batch() const {
  return {.labels = labels_.data(),
          .samples = samples_,
          .tokens = tokens_.data(),
          .segments = segments_.data(),
          .lengths = lengths_.data(),
          .masked_positions = positions_.data(),
          .masked_labels = masked_labels_.data(),
          .seed = 1,
          .positions = stream_.data()};
}

Result<double> SecondsOfLeaf(LeafModel* model, const Batch& batch, int micro_batches,
                             const std::vector<float>& weights) {
  double seconds = 0;
  for (int leaf = 0; leaf < 2; ++leaf) {
    const Instant begin = Clock::Real().Now();
    DROVER_RETURN_IF_ERROR(model->BeginLeaf(
        {.version = 0,
         .weights = weights.data(),
         .sums = LeafSums{.scale = 0x1p32, .limit = 0x1p14f, .first = leaf == 0, .last = false}}));
    for (int i = 0; i < micro_batches; ++i) {
      DROVER_RETURN_IF_ERROR(model->Add(batch, i + 1 == micro_batches));
    }
    const Result<LeafResult> result = model->EndLeaf();
    if (!result.ok()) return result.status();
    if (result.value().bad) return Status(Code::kInternal, "a gradient is not finite");
    seconds = Seconds(Clock::Real().Now() - begin);
  }
  return seconds;
}

}  // namespace drover
