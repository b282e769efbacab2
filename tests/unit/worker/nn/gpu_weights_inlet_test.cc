#include "worker/nn/gpu_weights_inlet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "common/tensor/bf16.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/layer_probe.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatch = 4;

NetworkSpec SmallNetwork() {
  NetworkSpec network;
  network.input = {6};
  network.layers = {{.name = "first", .kind = DenseSpec{.size = 5}},
                    {.name = "second", .kind = DenseSpec{.size = 3}}};
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 3};
  return network;
}

// One version of weights, as the network brings them to the host.
class WeightsOnHost {
 public:
  WeightsOnHost(const Layout& layout, int64_t version, bool is_bf16)
      : values(ProbeNoise(layout.SpanElements(layout.all_blocks()), version + 2)) {
    if (!is_bf16) return;
    for (float& value : values) value = FromBf16(ToBf16(value));
    as_arrived = values;
    for (const ElementRange& chunk : Chunks(layout)) {
      // In the upper half of a chunk's memory; what else was there is of no meaning.
      float* const begin = as_arrived.data() + chunk.begin;
      std::vector<uint16_t> rounded(chunk.size());
      RoundToBf16(values.data() + chunk.begin, chunk.size(), rounded.data());
      std::fill_n(begin, chunk.size(), std::numeric_limits<float>::quiet_NaN());
      std::copy(rounded.begin(), rounded.end(), reinterpret_cast<uint16_t*>(begin) + chunk.size());
      packed.push_back(chunk);
    }
  }

  // One per tensor.
  static std::vector<ElementRange> Chunks(const Layout& layout) {
    std::vector<ElementRange> chunks;
    for (size_t t = 0; t < layout.tensors().size(); ++t) {
      const uint64_t begin = layout.tensor_offset(t);
      chunks.push_back({begin, begin + layout.tensor_size(t)});
    }
    return chunks;
  }

  WeightsView view() const {
    return packed.empty() ? WeightsView(values.data()) : WeightsView(as_arrived.data(), packed);
  }
  void ArriveAt(WeightsInlet* inlet, const Layout& layout, int64_t version) const {
    for (const ElementRange& chunk : Chunks(layout)) {
      const bool is_bf16 = !packed.empty();
      const void* const from = is_bf16
                                   ? static_cast<const void*>(PackedBf16(as_arrived.data(), chunk))
                                   : values.data() + chunk.begin;
      inlet->Arrived(version, {chunk, is_bf16, from});
    }
  }

  std::vector<float> values;      // float32.
  std::vector<float> as_arrived;  // Of bfloat16: see WeightsView.
  std::vector<ElementRange> packed;
};

class GpuWeightsInletTest : public testing::TestWithParam<Precision> {
 protected:
  std::unique_ptr<LeafModel> Model(std::shared_ptr<GpuWeightsInlet> inlet) {
    return MakeGpuLeafModel(0, std::make_unique<PlainProducts>(), SmallNetwork(),
                            {.micro_batch = kMicroBatch, .precision = GetParam()}, std::move(inlet))
        .value();
  }
  WeightsOnHost Version(int64_t version) const { return {layout_, version, is_bf16_}; }

  // A leaf's gradient; `in_the_middle` is called when its first micro-batch is enqueued.
  std::vector<float> Run(
      LeafModel* model, int64_t version, WeightsView weights,
      const std::function<void()>& in_the_middle = [] {}) {
    std::vector<float> gradient(layout_.SpanElements(layout_.all_blocks()), 0.0f);
    EXPECT_TRUE(
        model->BeginLeaf({.version = version, .weights = weights, .gradient = gradient.data()})
            .ok());
    for (int64_t m = 0; m < 3; ++m) {
      Batch batch;
      batch.inputs = inputs_.data() + m * kMicroBatch * 6;
      batch.labels = labels_.data() + m * kMicroBatch;
      batch.samples = kMicroBatch;
      EXPECT_TRUE(model->Add(batch, /*last=*/m == 2).ok());
      if (m == 0) in_the_middle();
    }
    EXPECT_TRUE(model->EndLeaf().ok());
    return gradient;
  }
  // As a model computes that reads the host's memory.
  std::vector<float> Expected(int64_t version) {
    return Run(Model(nullptr).get(), version, Version(version).values.data());
  }

  const bool is_bf16_ = GetParam() == Precision::kBf16;
  const Layout layout_ =
      MakeCpuLeafModel(SmallNetwork(), {.micro_batch = kMicroBatch}).value()->layout();
  const std::vector<float> inputs_ = ProbeNoise(12 * 6, 1);
  const std::vector<int32_t> labels_ = {0, 1, 2, 0, 1, 2, 2, 2, 1, 0, 0, 1};
  const WeightsView nowhere_;
  const std::shared_ptr<GpuWeightsInlet> inlet_ = MakeGpuWeightsInlet(0);
};

TEST_P(GpuWeightsInletTest, WhatArrivedIsWhatIsComputedWith) {
  const std::vector<float> expected = Expected(1);
  const std::unique_ptr<LeafModel> model = Model(inlet_);
  const WeightsOnHost one = Version(1);
  inlet_->Begin(1);
  one.ArriveAt(inlet_.get(), layout_, 1);
  inlet_->Complete(1);

  EXPECT_EQ(Run(model.get(), 1, nowhere_), expected);
}

// The copies of version 2 and 3 run while a leaf of the version before is computed.
TEST_P(GpuWeightsInletTest, TheNextVersionArrivesWithoutHarmToTheOneInUse) {
  const std::vector<float> expected[] = {Expected(1), Expected(2), Expected(3)};
  const WeightsOnHost versions[] = {Version(1), Version(2), Version(3)};
  emulator::ForEachSeed(10, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    const std::unique_ptr<LeafModel> model = Model(inlet_);
    const auto arrive = [&](int64_t version) {
      inlet_->Begin(version);
      versions[version - 1].ArriveAt(inlet_.get(), layout_, version);
      inlet_->Complete(version);
    };
    arrive(1);
    EXPECT_EQ(Run(model.get(), 1, nowhere_, [&] { arrive(2); }), expected[0]);
    EXPECT_EQ(Run(model.get(), 2, nowhere_, [&] { arrive(3); }), expected[1]);
    EXPECT_EQ(Run(model.get(), 3, nowhere_), expected[2]);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// A lane that begins late, when the step is nearly over.
TEST_P(GpuWeightsInletTest, AVersionThatWasOverwrittenComesFromTheHost) {
  const std::vector<float> expected = Expected(1);
  const WeightsOnHost one = Version(1);
  const WeightsOnHost two = Version(2);
  const std::unique_ptr<LeafModel> model = Model(inlet_);
  inlet_->Begin(1);
  one.ArriveAt(inlet_.get(), layout_, 1);
  inlet_->Complete(1);
  inlet_->Begin(2);
  two.ArriveAt(inlet_.get(), layout_, 2);

  EXPECT_EQ(Run(model.get(), 1, one.view()), expected);
  inlet_->Begin(3);  // Nothing reads `two` any more.
}

TEST_P(GpuWeightsInletTest, AVersionThatIsNotWholeComesFromTheHost) {
  const std::vector<float> expected = Expected(2);
  const WeightsOnHost one = Version(1);
  const WeightsOnHost two = Version(2);
  const std::unique_ptr<LeafModel> model = Model(inlet_);
  inlet_->Begin(2);
  one.ArriveAt(inlet_.get(), layout_, 1);  // Late.
  inlet_->Complete(1);

  EXPECT_EQ(Run(model.get(), 2, two.view()), expected);
}

TEST_P(GpuWeightsInletTest, ChunksOfTheOtherKindComeFromTheHost) {
  const std::vector<float> expected = Expected(1);
  const std::unique_ptr<LeafModel> model = Model(inlet_);
  const WeightsOnHost one(layout_, 1, /*is_bf16=*/true);
  const WeightsOnHost as_float(layout_, 1, /*is_bf16=*/false);
  inlet_->Begin(1);
  (is_bf16_ ? as_float : one).ArriveAt(inlet_.get(), layout_, 1);
  inlet_->Complete(1);

  EXPECT_EQ(Run(model.get(), 1, Version(1).view()), expected);
}

// A phase with another micro-batch has another model.
TEST_P(GpuWeightsInletTest, OutlivesTheModelsOfItsGpu) {
  const std::vector<float> expected = Expected(1);
  const WeightsOnHost one = Version(1);
  std::unique_ptr<LeafModel> model = Model(inlet_);
  inlet_->Begin(1);
  one.ArriveAt(inlet_.get(), layout_, 1);
  inlet_->Complete(1);
  (void)Run(model.get(), 1, nowhere_);
  model.reset();

  EXPECT_EQ(Run(Model(inlet_).get(), 1, nowhere_), expected);
}

INSTANTIATE_TEST_SUITE_P(Precisions, GpuWeightsInletTest,
                         testing::Values(Precision::kF32, Precision::kBf16), [](const auto& test) {
                           return test.param == Precision::kBf16 ? "Bf16" : "F32";
                         });

}  // namespace
}  // namespace drover
