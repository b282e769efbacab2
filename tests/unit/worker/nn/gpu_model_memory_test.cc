// What a model on a GPU says when memory is short, and when the host waits for it: only the
// emulator can make the one and see the other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

TEST(GpuModelMemoryTest, SaysWhatItNeedsWhenThereIsNotEnough) {
  NetworkSpec network;
  network.input = {6};
  network.layers = {{.name = "only", .kind = DenseSpec{.size = 3}}};
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 3};
  emulator::FailNextAllocation();

  const Status status =
      MakeGpuLeafModel(0, std::make_unique<PlainProducts>(), network, {.micro_batch = 4}).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), testing::HasSubstr("with micro_batch=4; micro_batch=4 would fit"));
}

// What a leaf of many micro-batches costs the host: with new weights that have arrived by
// themselves, and the gradient on its way to pinned memory.
TEST(GpuModelWaitsTest, NothingIsAllocatedAndNoStreamIsWaitedForBetweenMicroBatches) {
  NetworkSpec network;
  network.input = {6};
  network.layers = {{.name = "first", .kind = DenseSpec{.size = 5}},
                    {.name = "second", .kind = DenseSpec{.size = 3}}};
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 3};
  const std::shared_ptr<GpuWeightsInlet> inlet = MakeGpuWeightsInlet(0);
  const auto model = MakeGpuLeafModel(0, std::make_unique<PlainProducts>(), network,
                                      {.micro_batch = 4, .precision = Precision::kBf16}, inlet)
                         .value();
  const Layout& layout = model->layout();
  const uint64_t elements = layout.SpanElements(layout.all_blocks());
  const auto weights = PinnedBuffer<uint16_t>::Make(0, elements).value();
  std::fill_n(weights.data(), elements, uint16_t{0x3f80});
  const auto sums = PinnedBuffer<int64_t>::Make(0, elements).value();
  const std::vector<float> inputs(4 * 6, 0.5f);
  const std::vector<int32_t> labels = {0, 1, 2, 0};
  const Batch batch = {.inputs = inputs.data(), .labels = labels.data(), .samples = 4};

  constexpr int64_t kMicroBatches = 6;
  for (int64_t version = 0; version < 3; ++version) {
    (void)emulator::TakeHostWaits();
    inlet->Begin(version);
    inlet->Arrived(version, {{0, elements}, /*is_bf16=*/true, weights.data()});
    inlet->Complete(version);
    ASSERT_TRUE(model
                    ->BeginLeaf({.version = version,
                                 .weights = {},  // Read from nowhere else.
                                 .sums = LeafSums{.scale = 0x1p40,
                                                  .limit = 100.0f,
                                                  .sums = sums.data(),
                                                  .on_final = [](size_t) {}}})
                    .ok());
    for (int64_t m = 1; m <= kMicroBatches; ++m) {
      ASSERT_TRUE(model->Add(batch, m == kMicroBatches).ok());
    }
    const emulator::HostWaits waits = emulator::TakeHostWaits();
    ASSERT_TRUE(model->EndLeaf().ok());
    if (version == 0) continue;  // Allocates what a job needs.
    // The one before Begin: the host's memory must be free again, as it is since a step ago.
    EXPECT_EQ(waits.streams, 1);
    EXPECT_EQ(waits.allocations, 0);
    EXPECT_EQ(waits.pageable_bytes, 0);
    // For pinned memory of the micro-batch two before.
    EXPECT_LE(waits.events, kMicroBatches);
    EXPECT_EQ(emulator::TakeHostWaits().pageable_bytes, 0) << "the sums";
  }
}

// What adds up the GPUs of a host can begin with the last layer while the first one is still in its
// backward pass, and has the same sums whatever it sees of the others.
TEST(GpuModelWaitsTest, TheLastLayersSumIsHandedOverBeforeTheFirstOneIsComputed) {
  NetworkSpec network;
  network.input = {6};
  network.layers = {{.name = "first", .kind = DenseSpec{.size = 5}},
                    {.name = "second", .kind = DenseSpec{.size = 3}}};
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 3};
  const std::vector<float> inputs(4 * 6, 0.5f);
  const std::vector<int32_t> labels = {0, 1, 2, 0};
  const Batch batch = {.inputs = inputs.data(), .labels = labels.data(), .samples = 4};
  int early = 0;
  std::vector<int64_t> sums_of_first_seed;
  emulator::ForEachSeed(20, [&](uint64_t) {
    const auto model =
        MakeGpuLeafModel(0, std::make_unique<PlainProducts>(), network, {.micro_batch = 4}).value();
    const Layout& layout = model->layout();
    const uint64_t elements = layout.SpanElements(layout.all_blocks());
    const std::vector<float> weights(elements, 0.25f);
    const auto seen = PinnedBuffer<int64_t>::Make(0, elements).value();
    std::vector<int64_t> at_first;  // What lay where the first layer's sum will be.
    std::vector<int64_t> sums(elements, 0);
    const auto deposit = [&](size_t tensor, const GpuStream& stream, const int64_t* on_device) {
      DROVER_RETURN_IF_ERROR(CopyToHost(stream, on_device, seen.span()));
      DROVER_RETURN_IF_ERROR(stream.Wait());
      const auto copy = [&](size_t from, std::vector<int64_t>* to) {
        const auto begin = seen.span().begin() + static_cast<ptrdiff_t>(layout.tensor_offset(from));
        to->assign(begin, begin + static_cast<ptrdiff_t>(layout.tensor_size(from)));
      };
      if (at_first.empty()) copy(0, &at_first);
      std::vector<int64_t> own;
      copy(tensor, &own);
      std::copy(own.begin(), own.end(),
                sums.begin() + static_cast<ptrdiff_t>(layout.tensor_offset(tensor)));
      if (tensor == 0 && own != at_first) ++early;
      return Status();
    };
    ASSERT_TRUE(
        model
            ->BeginLeaf({.version = 1,
                         .weights = weights.data(),
                         .sums = LeafSums{.scale = 0x1p40, .limit = 100.0f, .deposit = deposit}})
            .ok());
    ASSERT_TRUE(model->Add(batch, /*last=*/true).ok());
    ASSERT_TRUE(model->EndLeaf().ok());
    if (sums_of_first_seed.empty()) sums_of_first_seed = sums;
    EXPECT_EQ(sums, sums_of_first_seed);
  });
  EXPECT_GT(early, 0);
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
