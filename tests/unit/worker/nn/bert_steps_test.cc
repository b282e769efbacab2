// The benchmark of BERT on a GPU, small enough for the emulator.

#include "tests/gpu/bert_steps.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "worker/nn/gpu_model.h"
#include "worker/nn/gpu_model_plan.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

// Devlin et al. 2018: 24 layers of 1,024. 336,226,108 with a vocabulary of 30,522 in Hugging Face's
// BertForPreTraining, and here 6 more rows of 1,024 words and 6 biases.
TEST(BertStepsTest, LargeHasItsParameters) {
  const NetworkSpec network = BertNetwork(BertLargeSizes(), 128, 20);
  const GpuModelParts parts =
      MakeGpuModelParts(network, {.micro_batch = 1, .precision = Precision::kBf16}).value();
  EXPECT_EQ(parts.plan.layout.tensors().size(), 398u);
  EXPECT_EQ(parts.plan.layout.parameter_count(), 336'226'108u + 6 * 1024 + 6);
}

// Narayanan et al. 2021, arXiv:2104.04473, equation 2, is 96 B s l h^2 (1 + s / 6h + V / 16 l h)
// with recomputation; without it, 72, and V / 12 l h for a decoder of every token.
TEST(BertStepsTest, FlopsAreThoseOfThePublishedFormula) {
  const BertSizes sizes = BertLargeSizes();
  const double l = 24, h = 1024, s = 512, v = 30528;
  const double published = 72 * s * l * h * h * (1 + s / (6 * h) + v / (12 * l * h));
  const double heads = 6 * (h * h * (s + 1) + 2 * h);  // Transform and pooler are not in it.
  EXPECT_NEAR(FlopsPerSequence(sizes, {512, 512}), published + heads, 1e-9 * published);
}

TEST(BertStepsTest, ALeafOfASmallBertTakesItsTime) {
  const BertSizes sizes = {.layers = 1,
                           .hidden = 16,
                           .heads = 2,
                           .intermediate = 24,
                           .positions = 12,
                           .vocabulary = 40,
                           .dropout = 0.1};
  const BertPhase phase = {8, 2};
  const std::unique_ptr<LeafModel> model =
      MakeGpuLeafModel(0, std::make_unique<PlainProducts>(),
                       BertNetwork(sizes, phase.tokens, phase.predictions),
                       {.micro_batch = 2, .precision = Precision::kBf16})
          .value();
  const std::vector<float> weights(model->layout().SpanElements(model->layout().all_blocks()),
                                   0.01f);
  const MadeUpText text(sizes, phase, 2);

  const Result<double> seconds = SecondsOfLeaf(model.get(), text.batch(), 3, weights);

  ASSERT_TRUE(seconds.ok()) << seconds.status().ToString();
  EXPECT_GT(seconds.value(), 0.0);
}

}  // namespace
}  // namespace drover
