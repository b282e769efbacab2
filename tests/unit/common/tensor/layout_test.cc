#include "common/tensor/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "common/base/philox.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

TensorSpec Tensor(const std::string& name, std::vector<int64_t> shape) {
  return {name, std::move(shape), InitRule{}};
}

Layout Make(std::vector<TensorSpec> tensors) {
  Result<Layout> layout = Layout::Make(std::move(tensors));
  EXPECT_TRUE(layout.ok()) << layout.status().ToString();
  return std::move(layout).value();
}

std::string Refusal(std::vector<TensorSpec> tensors) {
  const Result<Layout> layout = Layout::Make(std::move(tensors));
  if (layout.ok()) return "accepted";
  EXPECT_EQ(layout.status().code(), Code::kInvalidArgument);
  return layout.status().message();
}

// Layouts of very different shape: one tensor, exact blocks, many small ones, random mixtures.
std::vector<Layout> ManyLayouts() {
  std::vector<Layout> layouts;
  layouts.push_back(Make({Tensor("one", {1})}));
  layouts.push_back(Make({Tensor("exact", {4, kBlockElements})}));
  layouts.push_back(Make({Tensor("over", {kBlockElements + 1}), Tensor("bias", {10})}));
  for (uint64_t mixture = 0; mixture < 8; ++mixture) {
    std::vector<TensorSpec> tensors;
    for (uint64_t t = 0; t < 40; ++t) {
      const auto words = Philox(/*seed=*/7, mixture, t);
      const uint32_t size_max = 1u << (words[0] % 21);  // Small ones as likely as large ones.
      tensors.push_back(Tensor("t" + std::to_string(t), {1 + words[1] % size_max}));
    }
    layouts.push_back(Make(std::move(tensors)));
  }
  return layouts;
}

TEST(LayoutTest, EveryElementLiesInExactlyOneBlockOfItsTensor) {
  for (const Layout& layout : ManyLayouts()) {
    uint32_t next_block = 0;
    uint64_t parameters = 0;
    for (size_t t = 0; t < layout.tensors().size(); ++t) {
      const BlockRange blocks = layout.tensor_blocks(t);
      EXPECT_EQ(blocks.begin, next_block);
      uint64_t element = 0;
      for (uint32_t b = blocks.begin; b < blocks.end; ++b) {
        const Block& block = layout.blocks()[b];
        EXPECT_EQ(block.tensor, t);
        EXPECT_EQ(block.offset, layout.tensor_offset(t) + element);
        EXPECT_EQ(block.size, std::min<uint64_t>(kBlockElements, layout.tensor_size(t) - element));
        element += block.size;
      }
      EXPECT_EQ(element, layout.tensor_size(t));
      parameters += element;
      next_block = blocks.end;
    }
    EXPECT_EQ(next_block, layout.block_count());
    EXPECT_EQ(parameters, layout.parameter_count());
  }
}

TEST(LayoutTest, TensorsStartAlignedAndAsNearAsTheyCan) {
  for (const Layout& layout : ManyLayouts()) {
    uint64_t end = 0;
    for (size_t t = 0; t < layout.tensors().size(); ++t) {
      while (end % kTensorAlignment != 0) ++end;
      EXPECT_EQ(layout.tensor_offset(t), end);
      end += layout.tensor_size(t);
    }
  }
}

TEST(LayoutTest, SpanCountsBlocksAndTheGapsBetweenThem) {
  const Layout layout = Make({Tensor("a", {5}), Tensor("b", {20}), Tensor("c", {kBlockElements})});

  EXPECT_EQ(layout.SpanElements({0, 0}), 0u);
  EXPECT_EQ(layout.SpanElements({0, 1}), 5u);
  EXPECT_EQ(layout.SpanElements({0, 2}), 16u + 20u);
  EXPECT_EQ(layout.SpanElements({1, 3}), 32u + kBlockElements);
  EXPECT_EQ(layout.SpanOffset({1, 3}), 16u);
}

TEST(LayoutTest, ChunksAreTheLongestRunsWithinBothLimits) {
  for (const Layout& layout : ManyLayouts()) {
    for (const BlockRange owned : {layout.all_blocks(), BlockRange{1, layout.block_count()}}) {
      if (owned.begin >= owned.end) continue;
      uint32_t next = owned.begin;
      for (const BlockRange chunk : layout.Chunks(owned)) {
        EXPECT_EQ(chunk.begin, next);
        EXPECT_GE(chunk.size(), 1u);
        EXPECT_LE(chunk.size(), kChunkBlocksMax);
        EXPECT_LE(layout.SpanElements(chunk), kChunkElementsMax);
        const bool could_grow =
            chunk.end < owned.end && chunk.size() < kChunkBlocksMax &&
            layout.SpanElements({chunk.begin, chunk.end + 1}) <= kChunkElementsMax;
        EXPECT_FALSE(could_grow);
        next = chunk.end;
      }
      EXPECT_EQ(next, owned.end);
    }
  }
}

TEST(LayoutTest, NoBlocksMakeNoChunks) {
  EXPECT_TRUE(Make({Tensor("a", {5})}).Chunks({1, 1}).empty());
}

TEST(LayoutTest, PlacementCoversEveryBlockOnceAndCutsNearestToEvenShares) {
  for (const Layout& layout : ManyLayouts()) {
    std::vector<uint64_t> elements_before = {0};  // Blocks 0..k-1 hold [k] elements.
    for (const Block& block : layout.blocks()) {
      elements_before.push_back(elements_before.back() + block.size);
    }
    for (const uint32_t shards : {1u, 2u, 3u, 4u, 7u, 16u, 100u}) {
      const std::vector<BlockRange> ranges = layout.Place(shards);
      ASSERT_EQ(ranges.size(), shards);
      uint32_t next = 0;
      for (uint32_t shard = 0; shard < shards; ++shard) {
        EXPECT_EQ(ranges[shard].begin, next);
        EXPECT_LE(ranges[shard].begin, ranges[shard].end);
        next = ranges[shard].end;

        const uint64_t share = layout.parameter_count() * (shard + 1) / shards;
        const auto miss = [&](uint64_t elements) {
          return elements > share ? elements - share : share - elements;
        };
        uint64_t least = layout.parameter_count();
        for (const uint64_t elements : elements_before) least = std::min(least, miss(elements));
        EXPECT_EQ(miss(elements_before[next]), least) << "shard " << shard << " of " << shards;
      }
      EXPECT_EQ(next, layout.block_count());
    }
  }
}

TEST(LayoutTest, MoreShardsThanBlocksLeaveSomeEmpty) {
  const Layout layout = Make({Tensor("a", {3, kBlockElements})});

  const std::vector<BlockRange> ranges = layout.Place(/*shards=*/8);

  const auto used = std::count_if(ranges.begin(), ranges.end(),
                                  [](const BlockRange& range) { return range.size() > 0; });
  EXPECT_EQ(used, 3);
}

// Python: XXH3_64bits of libxxhash over, per tensor, u32 name length, name, u32 dimensions, i64
// each, u32 kind, f32 value, all little-endian.
TEST(LayoutTest, HashIsThatOfItsDocumentedBytes) {
  const Layout layout = Make({{"fc.weight", {3, 2}, {InitRule::Kind::kUniform, 0.5f}},
                              {"fc.bias", {3}, {InitRule::Kind::kConstant, 0.0f}}});

  EXPECT_EQ(layout.hash(), 0x6ed9b69e4a1091e8u);
}

TEST(LayoutTest, HashChangesWithNameShapeRuleAndOrder) {
  const TensorSpec a = Tensor("a", {2, 3});
  const TensorSpec b = Tensor("b", {6});
  TensorSpec uniform = a;
  uniform.init = {InitRule::Kind::kUniform, 0.1f};
  const uint64_t hash = Make({a, b}).hash();

  EXPECT_EQ(Make({a, b}).hash(), hash);
  EXPECT_NE(Make({b, a}).hash(), hash);
  EXPECT_NE(Make({Tensor("A", {2, 3}), b}).hash(), hash);
  EXPECT_NE(Make({Tensor("a", {3, 2}), b}).hash(), hash);
  EXPECT_NE(Make({uniform, b}).hash(), hash);
}

TEST(LayoutTest, RefusesBadNamesShapesAndTotals) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

  EXPECT_THAT(Refusal({}), HasSubstr("layout of 0 tensors"));
  EXPECT_THAT(Refusal({Tensor("", {1})}), HasSubstr("name of 0 bytes"));
  EXPECT_THAT(Refusal({Tensor("a b", {1})}), HasSubstr("expected 1 to 200 of"));
  EXPECT_THAT(Refusal({Tensor(std::string(201, 'a'), {1})}), HasSubstr("name of 201 bytes"));
  EXPECT_THAT(Refusal({Tensor("a", {1}), Tensor("a", {2})}), HasSubstr("\"a\" occurs twice"));
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{}, std::vector<int64_t>{0}, std::vector<int64_t>{-1},
        std::vector<int64_t>{2, kHuge}, std::vector<int64_t>{kHuge}, std::vector<int64_t>(9, 1)}) {
    EXPECT_THAT(Refusal({Tensor("a", shape)}), HasSubstr("tensor \"a\": expected 1 to 8"));
  }
  EXPECT_THAT(Refusal({Tensor("a", {int64_t{1} << 36}), Tensor("b", {1})}),
              HasSubstr("more than 2^36 elements"));
  TensorSpec nan = Tensor("a", {1});
  nan.init.value = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Refusal({nan}), HasSubstr("not finite"));
}

TEST(FillInitialTest, ConstantFillsEveryElement) {
  std::vector<float> values(5, 9.0f);

  FillInitial({InitRule::Kind::kConstant, 0.25f}, /*seed=*/1, /*tensor=*/2, /*first=*/3, 4,
              values.data());

  EXPECT_EQ(values, (std::vector<float>{0.25f, 0.25f, 0.25f, 0.25f, 9.0f}));
}

// Python: (2 * (w >> 8) / 2**24 - 1) * 0.5 over the first philox4x32-10 known answer.
TEST(FillInitialTest, UniformFollowsThePhiloxKnownAnswer) {
  std::vector<float> values(4);

  FillInitial({InitRule::Kind::kUniform, 0.5f}, /*seed=*/0, /*tensor=*/0, /*first=*/0, 4,
              values.data());

  EXPECT_EQ(values,
            (std::vector<float>{-0x1.9d818p-4f, 0x1.85a714p-2f, 0x1.e2bd6p-3f, 0x1.b00dbp-4f}));
}

TEST(FillInitialTest, ConstantRangeIsZeroElsewhere) {
  std::vector<float> values(5, 7.0f);
  FillInitial({InitRule::Kind::kConstantRange, 0.5f, 2, 4}, /*seed=*/1, /*tensor=*/0, /*first=*/1,
              5, values.data());
  EXPECT_EQ(values, (std::vector<float>{0.0f, 0.5f, 0.5f, 0.0f, 0.0f}));
}

TEST(FillInitialTest, RangeOutsideItsTensorIsRefused) {
  const Result<Layout> layout =
      Layout::Make({{"b", {4}, {InitRule::Kind::kConstantRange, 1.0f, 3, 5}}});

  EXPECT_EQ(layout.status().message(),
            "tensor \"b\": its initial value is for elements [3, 5), expected a range within its 4 "
            "elements");
}

// Mean, deviation, and how many lie beyond 1, 2 and 3 deviations (31.73, 4.55 and 0.27 %), each
// within five standard errors of a million draws.
TEST(FillInitialTest, NormalHasItsMomentsAndTails) {
  constexpr size_t kCount = 1'000'000;
  std::vector<float> values(kCount);
  FillInitial({InitRule::Kind::kNormal, 2.0f}, /*seed=*/42, /*tensor=*/3, /*first=*/0, kCount,
              values.data());
  double sum = 0;
  double squares = 0;
  double beyond[4] = {};
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
    for (int sigma = 1; sigma < 4; ++sigma) beyond[sigma] += std::abs(value) > 2.0 * sigma;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.01);
  EXPECT_NEAR(squares / kCount, 4.0, 0.03);
  EXPECT_NEAR(beyond[1] / kCount, 0.3173, 0.0024);
  EXPECT_NEAR(beyond[2] / kCount, 0.0455, 0.0011);
  EXPECT_NEAR(beyond[3] / kCount, 0.0027, 0.0003);
}

TEST(FillInitialTest, AnySplitGivesTheSameValues) {
  const InitRule init = {InitRule::Kind::kUniform, 0.125f};
  constexpr uint64_t kCount = 40;
  std::vector<float> whole(kCount);
  FillInitial(init, /*seed=*/42, /*tensor=*/3, /*first=*/1001, kCount, whole.data());

  for (uint64_t cut = 0; cut <= kCount; ++cut) {
    std::vector<float> pieces(kCount);
    FillInitial(init, 42, 3, 1001, cut, pieces.data());
    FillInitial(init, 42, 3, 1001 + cut, kCount - cut, pieces.data() + cut);
    EXPECT_EQ(pieces, whole) << "cut at " << cut;
  }
}

TEST(FillInitialTest, UniformStaysInItsRangeAndDependsOnSeedAndTensor) {
  const InitRule init = {InitRule::Kind::kUniform, 0.125f};
  std::vector<float> values(10'000);
  std::vector<float> other_seed(10'000);
  std::vector<float> other_tensor(10'000);

  FillInitial(init, /*seed=*/1, /*tensor=*/1, 0, values.size(), values.data());
  FillInitial(init, /*seed=*/2, /*tensor=*/1, 0, values.size(), other_seed.data());
  FillInitial(init, /*seed=*/1, /*tensor=*/2, 0, values.size(), other_tensor.data());

  double sum = 0;
  for (const float value : values) {
    EXPECT_GE(value, -0.125f);
    EXPECT_LT(value, 0.125f);
    sum += static_cast<double>(value);
  }
  // The mean of 10,000 has standard deviation 0.125 / sqrt(3 * 10,000) = 0.00072; five of them.
  EXPECT_LT(std::abs(sum / 10'000), 0.0036);
  EXPECT_NE(values, other_seed);
  EXPECT_NE(values, other_tensor);
}

}  // namespace
}  // namespace drover
