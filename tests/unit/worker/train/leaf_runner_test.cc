#include "worker/train/leaf_runner.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/worker/train/small_job.h"
#include "worker/data/sampler.h"
#include "worker/data/synthetic.h"
#include "worker/nn/model.h"
#include "worker/nn/presets.h"

namespace drover {
namespace {

JobSetup SmallSetup() {
  JobSetup setup;
  setup.phases = {{.batch = 256, .leaves = 4, .micro_batch = 16}};
  setup.seed = 5;
  setup.fraction_bits = 40;
  setup.train = MakeSyntheticDataset(1, Split::kTrain, 300).value();
  setup.test = MakeSyntheticDataset(1, Split::kTest, 40).value();
  setup.network = MlpNetwork({28, 28, 1}, {12}, 10);
  return setup;
}

struct Leaf {
  StepStats stats;
  std::vector<float> gradient;
  std::vector<size_t> finals;
};

Leaf RunOne(const JobSetup& setup, uint32_t leaf) {
  const std::unique_ptr<LeafRunner> runner = LeafRunner::Make(setup).value();
  const uint64_t elements = runner->layout().SpanElements(runner->layout().all_blocks());
  std::vector<float> weights(elements, 0.01f);
  Leaf result;
  result.gradient.assign(elements, 0.0f);
  const std::atomic<bool> cancelled{false};
  result.stats =
      runner
          ->RunLeaf(/*step=*/2, leaf, weights.data(), result.gradient.data(),
                    [&result](size_t tensor) { result.finals.push_back(tensor); }, cancelled)
          .value();
  return result;
}

TEST(LeafRunnerTest, EveryRunnerGivesTheSameBits) {
  const JobSetup setup = SmallSetup();

  const Leaf one = RunOne(setup, 1);
  const Leaf again = RunOne(setup, 1);

  EXPECT_EQ(one.gradient, again.gradient);
  EXPECT_EQ(one.stats, again.stats);
  EXPECT_EQ(one.stats.samples, 64);
}

TEST(LeafRunnerTest, TensorsBecomeFinalOnceEachLastLayerFirst) {
  EXPECT_EQ(RunOne(SmallSetup(), 0).finals.size(), 4u);
  EXPECT_GT(RunOne(SmallSetup(), 0).finals.front(), 1u);
  EXPECT_LT(RunOne(SmallSetup(), 0).finals.back(), 2u);
}

// The slow way: one model, one micro-batch after the other, by hand.
TEST(LeafRunnerTest, IsTheSumOfItsMicroBatchesInOrder) {
  const JobSetup setup = SmallSetup();
  const std::unique_ptr<Model> model =
      Model::Make(setup.network, {.micro_batch = setup.phases[0].micro_batch}).value();
  const uint64_t elements = model->layout().SpanElements(model->layout().all_blocks());
  const std::vector<float> weights(elements, 0.01f);
  std::vector<float> gradient(elements, 0.0f);
  std::vector<uint64_t> indices;
  SamplePositions(5, 300, 2 * 256 + 3 * 64, 64, &indices);
  for (size_t begin = 0; begin < indices.size(); begin += 16) {
    std::vector<SampleRef> refs;
    for (size_t i = 0; i < 16; ++i) refs.push_back({indices[begin + i], 0});
    SampleBuffers samples;
    setup.train->Read(refs, &samples);
    const GradientSink sink = {gradient.data(), begin == 0, {}};
    ASSERT_TRUE(model
                    ->ForwardBackward({samples.inputs.data(), samples.labels.data(), 16},
                                      weights.data(), sink)
                    .ok());
  }

  EXPECT_EQ(RunOne(setup, 3).gradient, gradient);
}

TEST(LeafRunnerTest, StopsWhenTheLeaseIsVoid) {
  const std::unique_ptr<LeafRunner> runner = LeafRunner::Make(SmallSetup()).value();
  const uint64_t elements = runner->layout().SpanElements(runner->layout().all_blocks());
  std::vector<float> weights(elements), gradient(elements);
  const std::atomic<bool> cancelled{true};

  const Result<StepStats> stats =
      runner->RunLeaf(0, 0, weights.data(), gradient.data(), {}, cancelled);

  EXPECT_EQ(stats.status().code(), Code::kCancelled);
}

TEST(LeafRunnerTest, EvaluationInPiecesCountsWhatTheWholeDoes) {
  const std::unique_ptr<LeafRunner> runner = LeafRunner::Make(SmallSetup()).value();
  const uint64_t elements = runner->layout().SpanElements(runner->layout().all_blocks());
  const std::vector<float> weights(elements, 0.0f);

  int64_t samples = 0;
  int64_t loss = 0;
  for (const auto& [begin, end] : {std::pair(0, 16), std::pair(16, 32), std::pair(32, 40)}) {
    const EvalStats stats = runner->Evaluate(/*version=*/0, begin, end, weights.data()).value();
    samples += stats.samples;
    loss += stats.loss;
  }

  EXPECT_EQ(samples, 40);
  // Zero weights: every class has one tenth, so the loss is log 10 per sample.
  EXPECT_NEAR(static_cast<double>(loss) / (40.0 * (1 << kLossFractionBits)), 2.302585, 1e-5);
}

// The second phase begins at sample 2 * 32 of the row: leaf 1 of its second step are the samples
// [64 + 12 + 6, 64 + 12 + 12), which a job of one phase cuts elsewhere.
TEST(LeafRunnerTest, APhaseGoesOnWhereTheOneBeforeEnded) {
  JobSetup phases = SmallJob();
  phases.phases.push_back(
      {.first_step = 2, .first_position = 64, .batch = 12, .leaves = 2, .micro_batch = 3});
  JobSetup same = SmallJob();
  same.phases = {{.first_position = 64 + 12 + 6, .batch = 6, .leaves = 1, .micro_batch = 3}};
  const auto gradient = [](const JobSetup& setup, int64_t step, uint32_t leaf) {
    std::unique_ptr<LeafRunner> runner = LeafRunner::Make(setup).value();
    const std::vector<float> weights = SmallWeights(runner->layout(), 0);
    std::vector<float> sum(weights.size(), 0.0f);
    const std::atomic<bool> cancelled = false;
    // A leaf of the first phase before: the model is made for its micro-batch.
    EXPECT_TRUE(runner->RunLeaf(0, 0, weights.data(), sum.data(), {}, cancelled).ok());
    std::fill(sum.begin(), sum.end(), 0.0f);
    EXPECT_EQ(
        runner->RunLeaf(step, leaf, weights.data(), sum.data(), {}, cancelled).value().samples, 6);
    return sum;
  };

  EXPECT_EQ(gradient(phases, 3, 1), gradient(same, 0, 0));
}

}  // namespace
}  // namespace drover
