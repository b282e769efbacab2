#include "worker/nn/gpu_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/gpu/device.h"
#include "common/tensor/fixed_point.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/layer_probe.h"
#include "worker/nn/bert.h"
#include "worker/nn/gpu_model_plan.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatch = 4;

// Two dense layers, of which the second has 3 outputs.
NetworkSpec SmallNetwork() {
  NetworkSpec network;
  network.input = {6};
  network.layers = {{.name = "first", .kind = DenseSpec{.size = 5}},
                    {.name = "second", .kind = DenseSpec{.size = 3}}};
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 3};
  return network;
}

std::unique_ptr<LeafModel> OnGpu(Precision precision = Precision::kF32) {
  return MakeGpuLeafModel(0, std::make_unique<PlainProducts>(), SmallNetwork(),
                          {.micro_batch = kMicroBatch, .precision = precision})
      .value();
}
std::unique_ptr<LeafModel> OnCpu() {
  return MakeCpuLeafModel(SmallNetwork(), {.micro_batch = kMicroBatch}).value();
}

// `samples` of one leaf, those of micro-batch m from row m * kMicroBatch on.
struct Samples {
  std::vector<float> inputs = ProbeNoise(12 * 6, 1);
  std::vector<int32_t> labels = {0, 1, 2, 0, 1, 2, 2, 2, 1, 0, 0, 1};

  Batch MicroBatch(int64_t m, int64_t samples = kMicroBatch) const {
    Batch batch;
    batch.inputs = inputs.data() + m * kMicroBatch * 6;
    batch.labels = labels.data() + m * kMicroBatch;
    batch.samples = samples;
    return batch;
  }
};

struct Leaf {
  std::vector<float> gradient;
  std::vector<size_t> finals;
  std::vector<BatchResult> results;
};

class GpuModelTest : public testing::Test {
 protected:
  Leaf Run(LeafModel* model, int64_t version = 0) {
    Leaf leaf;
    leaf.gradient.assign(weights_.size(), std::numeric_limits<float>::quiet_NaN());
    EXPECT_TRUE(model
                    ->BeginLeaf({.version = version,
                                 .weights = weights_.data(),
                                 .gradient = leaf.gradient.data(),
                                 .on_final = [&](size_t tensor) { leaf.finals.push_back(tensor); }})
                    .ok());
    for (int64_t m = 0; m < 3; ++m) {
      EXPECT_TRUE(model->Add(samples_.MicroBatch(m), /*last=*/m == 2).ok());
    }
    Result<LeafResult> result = model->EndLeaf();
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    if (result.ok()) leaf.results = std::move(result).value().micro_batches;
    return leaf;
  }

  // One leaf, micro-batch by micro-batch, added to the sums on the device.
  LeafResult AddLeaf(LeafModel* model, bool first, bool last, std::vector<int64_t>* sums,
                     std::vector<size_t>* finals, float limit = 100.0f) {
    EXPECT_TRUE(
        model
            ->BeginLeaf(
                {.version = 0,
                 .weights = weights_.data(),
                 .sums = LeafSums{.scale = 0x1p40,
                                  .limit = limit,
                                  .first = first,
                                  .last = last,
                                  .sums = sums->data(),
                                  .on_final = [=](size_t tensor) { finals->push_back(tensor); }}})
            .ok());
    for (int64_t m = 0; m < 3; ++m) {
      EXPECT_TRUE(model->Add(samples_.MicroBatch(m), /*last=*/m == 2).ok());
    }
    return model->EndLeaf().value();
  }

  // All of a leaf but its end.
  void DepositLeaf(
      LeafModel* model, float limit,
      std::function<Status(size_t tensor, const GpuStream& stream, const int64_t* sums)> deposit) {
    EXPECT_TRUE(
        model
            ->BeginLeaf(
                {.version = 0,
                 .weights = weights_.data(),
                 .sums = LeafSums{.scale = 0x1p40, .limit = limit, .deposit = std::move(deposit)}})
            .ok());
    for (int64_t m = 0; m < 3; ++m) {
      EXPECT_TRUE(model->Add(samples_.MicroBatch(m), /*last=*/m == 2).ok());
    }
  }

  // Gaps between tensors are nobody's.
  void ExpectClose(const Leaf& gpu, const Leaf& cpu, double tolerance) {
    EXPECT_EQ(gpu.finals, cpu.finals);
    ASSERT_EQ(gpu.results.size(), cpu.results.size());
    for (size_t m = 0; m < gpu.results.size(); ++m) {
      EXPECT_NEAR(gpu.results[m].loss_sum, cpu.results[m].loss_sum, 4 * tolerance);
      EXPECT_EQ(gpu.results[m].samples, cpu.results[m].samples);
    }
    for (size_t t = 0; t < layout_.tensors().size(); ++t) {
      for (uint64_t i = 0; i < layout_.tensor_size(t); ++i) {
        const uint64_t at = layout_.tensor_offset(t) + i;
        ASSERT_NEAR(gpu.gradient[at], cpu.gradient[at],
                    tolerance * (1 + std::fabs(cpu.gradient[at])))
            << layout_.tensors()[t].name << "[" << i << "]";
      }
    }
  }

  const Layout layout_ = OnCpu()->layout();
  Samples samples_;
  std::vector<float> weights_ = ProbeNoise(layout_.SpanElements(layout_.all_blocks()), 2);
};

TEST_F(GpuModelTest, HasTheLayoutOfTheCpu) { EXPECT_EQ(OnGpu()->layout().hash(), layout_.hash()); }

TEST_F(GpuModelTest, SumsMicroBatchesAsTheCpuDoes) {
  const Leaf cpu = Run(OnCpu().get());
  const Leaf gpu = Run(OnGpu().get());

  ExpectClose(gpu, cpu, 1e-6);
  for (size_t m = 0; m < 3; ++m) EXPECT_EQ(gpu.results[m].correct, cpu.results[m].correct);
}

TEST_F(GpuModelTest, Bf16RoundsActivationsAndFactors) {
  ExpectClose(Run(OnGpu(Precision::kBf16).get()), Run(OnCpu().get()), 0x1p-5);
}

// Also finds copies that do not wait for kernels, and kernels that do not wait for copies.
TEST_F(GpuModelTest, HasTheSameBitsInEveryOrderOfThreadsBlocksAndStreams) {
  const std::unique_ptr<LeafModel> model = OnGpu();
  const std::vector<float> expected = Run(model.get()).gradient;
  int64_t version = 1;
  emulator::ForEachSeed(20, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    const Leaf leaf = Run(model.get(), version++);
    for (size_t t = 0; t < layout_.tensors().size(); ++t) {
      const auto begin = static_cast<std::ptrdiff_t>(layout_.tensor_offset(t));
      const auto end = begin + static_cast<std::ptrdiff_t>(layout_.tensor_size(t));
      EXPECT_TRUE(std::equal(leaf.gradient.begin() + begin, leaf.gradient.begin() + end,
                             expected.begin() + begin));
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// The bits that the host would get from the leaves' gradients.
TEST_F(GpuModelTest, AddsLeavesAsFixedPointOnTheDevice) {
  const std::unique_ptr<LeafModel> model = OnGpu();
  const FixedPointPasses& passes = FixedPointPassesFor(BestIsa());
  std::vector<int64_t> expected(weights_.size());
  const std::vector<float> one = Run(model.get()).gradient;
  for (size_t t = 0; t < layout_.tensors().size(); ++t) {
    const uint64_t offset = layout_.tensor_offset(t);
    for (int leaf = 0; leaf < 3; ++leaf) {
      passes.add_f32(one.data() + offset, layout_.tensor_size(t), 0x1p40, expected.data() + offset);
    }
  }
  emulator::ForEachSeed(10, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    std::vector<int64_t> sums(weights_.size());
    std::vector<size_t> finals;
    EXPECT_EQ(AddLeaf(model.get(), true, false, &sums, &finals).bad, std::nullopt);
    EXPECT_EQ(AddLeaf(model.get(), false, false, &sums, &finals).bad, std::nullopt);
    EXPECT_TRUE(finals.empty());
    EXPECT_EQ(AddLeaf(model.get(), false, true, &sums, &finals).micro_batches.size(), 3u);
    EXPECT_EQ(sums, expected);
    EXPECT_EQ(finals, (std::vector<size_t>{3, 2, 1, 0}));
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// Last layer first; what is not whole yet may be anything.
TEST_F(GpuModelTest, HandsOverEachSumOnTheDeviceWhenItIsWhole) {
  std::vector<int64_t> expected(weights_.size(), 0);
  std::vector<size_t> finals;
  (void)AddLeaf(OnGpu().get(), /*first=*/true, /*last=*/true, &expected, &finals);
  emulator::ForEachSeed(5, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    std::vector<int64_t> sums(weights_.size(), 0);
    std::vector<size_t> deposited;
    const std::unique_ptr<LeafModel> model = OnGpu();
    DepositLeaf(model.get(), 100.0f,
                [&](size_t tensor, const GpuStream& stream, const int64_t* on_device) {
                  deposited.push_back(tensor);
                  const uint64_t offset = layout_.tensor_offset(tensor);
                  DROVER_RETURN_IF_ERROR(
                      CopyToHost(stream, on_device + offset,
                                 std::span(sums).subspan(offset, layout_.tensor_size(tensor))));
                  return stream.Wait();
                });
    EXPECT_TRUE(model->EndLeaf().ok());
    EXPECT_EQ(deposited, finals);
    EXPECT_EQ(sums, expected);
  });
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST_F(GpuModelTest, HandsOverNothingThatFixedPointCannotHold) {
  const std::unique_ptr<LeafModel> model = OnGpu();
  int deposited = 0;
  DepositLeaf(model.get(), 0x1p-100f, [&](size_t, const GpuStream&, const int64_t*) {
    ++deposited;
    return Status();
  });

  EXPECT_TRUE(model->EndLeaf().value().bad.has_value());
  EXPECT_EQ(deposited, 0);
}

TEST_F(GpuModelTest, WhoeverTakesTheSumsCanEndTheLeaf) {
  const std::unique_ptr<LeafModel> model = OnGpu();
  DepositLeaf(model.get(), 100.0f, [&](size_t, const GpuStream&, const int64_t*) {
    return Status(Code::kCancelled, "the lease is void");
  });

  EXPECT_EQ(model->EndLeaf().status().code(), Code::kCancelled);
}

TEST_F(GpuModelTest, NamesTheElementThatFixedPointCannotHold) {
  samples_.inputs[7 * 6 + 2] = std::numeric_limits<float>::infinity();
  const std::unique_ptr<LeafModel> model = OnGpu();
  std::vector<int64_t> sums(weights_.size());
  std::vector<size_t> finals;
  const LeafResult result = AddLeaf(model.get(), true, true, &sums, &finals);

  ASSERT_TRUE(result.bad.has_value());
  EXPECT_EQ(layout_.tensors()[result.bad->tensor].name, "second.bias");
  EXPECT_EQ(result.bad->element, 0u);
  EXPECT_FALSE(std::isfinite(result.bad->value));
  EXPECT_TRUE(finals.empty());
}

TEST_F(GpuModelTest, AnAbandonedLeafLeavesNothingBehind) {
  const std::unique_ptr<LeafModel> model = OnGpu();
  std::vector<float> gradient(weights_.size());
  ASSERT_TRUE(
      model->BeginLeaf({.version = 0, .weights = weights_.data(), .gradient = gradient.data()})
          .ok());
  ASSERT_TRUE(model->Add(samples_.MicroBatch(2), false).ok());

  ExpectClose(Run(model.get()), Run(OnCpu().get()), 1e-6);
}

TEST_F(GpuModelTest, AnotherVersionBringsItsWeights) {
  const std::unique_ptr<LeafModel> model = OnGpu();
  (void)Run(model.get(), 0);
  weights_ = ProbeNoise(weights_.size(), 9);

  ExpectClose(Run(model.get(), 1), Run(OnCpu().get()), 1e-6);
}

TEST_F(GpuModelTest, EvaluatesShortMicroBatches) {
  const Batch batch = samples_.MicroBatch(0, 3);
  const BatchResult cpu = OnCpu()->Evaluate(0, weights_.data(), batch).value();
  const BatchResult gpu = OnGpu()->Evaluate(0, weights_.data(), batch).value();

  EXPECT_NEAR(gpu.loss_sum, cpu.loss_sum, 1e-6);
  EXPECT_EQ(gpu.correct, cpu.correct);
  EXPECT_EQ(gpu.samples, 3);
}

TEST_F(GpuModelTest, BadLabelIsNamedBeforeAnythingIsComputed) {
  samples_.labels[1] = 3;
  const Status status = OnGpu()->Evaluate(0, weights_.data(), samples_.MicroBatch(0)).status();

  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("label 3 of sample 1"), std::string::npos) << status.message();
}

// Weights, bfloat16 copy and gradient take 10 bytes per element, whatever the micro-batch.
TEST(GpuModelPlanTest, LargestMicroBatchIsTheLastThatFits) {
  const auto bytes_of = [](int64_t micro_batch) {
    const LayerSetting setting = {.micro_batch = micro_batch, .precision = Precision::kBf16};
    const GpuModelParts parts = MakeGpuModelParts(SmallNetwork(), setting).value();
    return PlanGpuMemory(parts, SmallNetwork(), setting).bytes.total();
  };
  const LayerSetting setting = {.micro_batch = 4096, .precision = Precision::kBf16};
  const int64_t fits = LargestMicroBatch(SmallNetwork(), setting, bytes_of(1000)).value();
  EXPECT_GE(fits, 1000);
  EXPECT_LE(bytes_of(fits), bytes_of(1000));
  EXPECT_GT(bytes_of(fits + 1), bytes_of(1000));
  EXPECT_EQ(LargestMicroBatch(SmallNetwork(), setting, 1000).value(), 0);
}

// With R rows of an encoder layer: q, k, v, context and projection, a log-sum per head, x + f(x)
// and its norm are one block; the feed-forward's two inner arrays, its output, x + f(x) and its
// norm are the other. A norm keeps mean and deviation of each row.
TEST(GpuModelPlanTest, RecomputingKeepsTheInputOfEachBlock) {
  const BertSizes sizes = {.layers = 5,
                           .hidden = 64,
                           .heads = 2,
                           .intermediate = 256,
                           .positions = 16,
                           .vocabulary = 40,
                           .dropout = 0.1};
  const NetworkSpec network = BertNetwork(sizes, 16, 2);
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const LayerSetting setting = {.micro_batch = 32, .precision = precision};
    const auto bytes_of = [&](bool recompute) {
      return PlanGpuMemory(MakeGpuModelParts(network, setting, recompute).value(), network, setting)
          .bytes;
    };
    const size_t rows = 32 * 16;
    const size_t value = precision == Precision::kBf16 ? 2 : 4;
    const size_t hidden = rows * 64 * value;
    const size_t attention = 7 * hidden + rows * 2 * 4 + 2 * rows * 4;
    const size_t feed_forward = 3 * hidden + 2 * rows * 256 * value + 2 * rows * 4;
    const GpuModelBytes kept = bytes_of(false);
    const GpuModelBytes again = bytes_of(true);

    EXPECT_EQ(kept.activations - again.activations, 5 * (attention + feed_forward - 2 * hidden));
    EXPECT_EQ(again.scratch - kept.scratch, feed_forward + 2 * hidden) << "and two gradients";
    EXPECT_EQ(again.weights, kept.weights);
    EXPECT_EQ(again.gradient, kept.gradient);
  }
}

TEST(GpuModelTextTest, BadTokenIsNamedBeforeAnythingIsComputed) {
  const BertSizes sizes = {.layers = 1,
                           .hidden = 4,
                           .heads = 1,
                           .intermediate = 4,
                           .positions = 4,
                           .vocabulary = 9,
                           .dropout = 0.0};
  const auto model = MakeGpuLeafModel(0, std::make_unique<PlainProducts>(),
                                      BertNetwork(sizes, 3, 1), {.micro_batch = 1})
                         .value();
  const std::vector<float> weights(model->layout().SpanElements(model->layout().all_blocks()));
  const std::vector<int32_t> tokens = {1, 9, 2};
  const int32_t length = 3, label = 0, position = 1, masked = 2;
  const Batch batch = {.labels = &label,
                       .samples = 1,
                       .tokens = tokens.data(),
                       .lengths = &length,
                       .masked_positions = &position,
                       .masked_labels = &masked};

  const Status status = model->Evaluate(0, weights.data(), batch).status();

  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("token 9 at position 1"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace drover
