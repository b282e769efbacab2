#include "server/shard/accumulator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/thread.h"
#include "tests/support/slow_square_sum.h"
#include "tests/unit/server/shard/gradient_frames.h"

namespace drover {
namespace {

constexpr uint64_t kJob = 7;
constexpr uint32_t kEpoch = 2;
constexpr uint64_t kStep = 9;
constexpr uint32_t kLeaves = 4;
constexpr int64_t kBatch = 64;

// Two tensors with a gap between them (5 elements, then 11 of padding), one chunk; a third tensor
// of 17 blocks, so that chunks [0, 16), [16, 19) hold all.
std::shared_ptr<const Layout> ThreeTensors() {
  Result<Layout> layout = Layout::Make({{"bias", {5}, {}},
                                        {"scale", {7}, {}},
                                        {"weight", {16 * int64_t{kBlockElements} + 100}, {}}});
  EXPECT_TRUE(layout.ok());
  return std::make_shared<const Layout>(std::move(layout).value());
}

// Leaf gradients over the parameter space; what lies in gaps must not matter. Made once: it is
// slow.
const std::vector<std::vector<float>>& LeafGradients(const Layout& layout) {
  static const std::vector<std::vector<float>> gradients = [&] {
    const uint64_t elements = layout.SpanElements(layout.all_blocks());
    std::mt19937_64 random(5);
    std::normal_distribution<float> normal;
    std::vector<std::vector<float>> leaves;
    for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) {
      std::vector<float>& gradient = leaves.emplace_back();
      for (uint64_t i = 0; i < elements; ++i) gradient.push_back(normal(random));
    }
    return leaves;
  }();
  return gradients;
}

class AccumulatorTest : public testing::Test {
 protected:
  AccumulatorTest() : layout_(ThreeTensors()) {
    options_.job = kJob;
    options_.owned = layout_->all_blocks();
    options_.shapes = {{0, kLeaves, kBatch}};
    options_.fraction_bits = DefaultFractionBits(kBatch);
    Remake();
    leaves_ = LeafGradients(*layout_);
  }

  void Remake() {
    Result<std::unique_ptr<Accumulator>> made = Accumulator::Make(layout_, options_);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    accumulator_ = std::move(made).value();
    accumulator_->Open(kEpoch, kStep);
  }

  FrameHeader Header(FrameType type, LeafRange leaves) const {
    FrameHeader header;
    header.type = type;
    header.job = kJob;
    header.epoch = kEpoch;
    header.step = kStep;
    header.layout_hash = layout_->hash();
    header.leaf_begin = leaves.begin;
    header.leaf_end = leaves.end;
    return header;
  }

  FrameHeader ChunkHeader(size_t chunk, LeafRange leaves, FrameEncoding encoding) const {
    FrameHeader header = Header(FrameType::kGradient, leaves);
    const BlockRange blocks = accumulator_->chunk_blocks(chunk);
    header.block_begin = blocks.begin;
    header.block_count = blocks.size();
    header.encoding = encoding;
    return header;
  }

  std::vector<float> Slice(size_t chunk, uint32_t leaf) const {
    const BlockRange blocks = accumulator_->chunk_blocks(chunk);
    const auto begin = leaves_[leaf].begin() + static_cast<ptrdiff_t>(layout_->SpanOffset(blocks));
    return {begin, begin + static_cast<ptrdiff_t>(layout_->SpanElements(blocks))};
  }

  ReceivedFrame FloatFrame(size_t chunk, uint32_t leaf) const {
    return FrameOf(ChunkHeader(chunk, {leaf, leaf + 1}, FrameEncoding::kF32),
                   PayloadOf(Slice(chunk, leaf)), 100003);
  }

  // The sum over several leaves, by llrint.
  ReceivedFrame IntegerFrame(size_t chunk, LeafRange leaves) const {
    std::vector<int64_t> sums(layout_->SpanElements(accumulator_->chunk_blocks(chunk)), 0);
    for (uint32_t leaf = leaves.begin; leaf < leaves.end; ++leaf) {
      const std::vector<float> gradient = Slice(chunk, leaf);
      for (size_t i = 0; i < sums.size(); ++i) {
        sums[i] +=
            llrint(static_cast<double>(gradient[i]) * FixedPointScale(options_.fraction_bits));
      }
    }
    return FrameOf(ChunkHeader(chunk, leaves, FrameEncoding::kI64), PayloadOf(sums), 100003);
  }

  ReceivedFrame StatsFrame(LeafRange leaves, StepStats stats) const {
    FrameHeader header = Header(FrameType::kStats, leaves);
    header.encoding = FrameEncoding::kI64;
    return FrameOf(header, PayloadOf(std::vector<int64_t>{
                               stats.loss, stats.correct, stats.samples, stats.tokens,
                               stats.squares.high, static_cast<int64_t>(stats.squares.low)}));
  }

  static StepStats LeafStats(uint32_t count) {
    return {int64_t{1000} * count, 3 * count, 16 * count, 32 * count, SquareTotalOf(0.75 * count)};
  }

  // Everything of one leaf.
  void SendLeaf(uint32_t leaf) {
    for (size_t chunk = 0; chunk < accumulator_->chunk_count(); ++chunk) {
      accumulator_->Receive(FloatFrame(chunk, leaf));
    }
    accumulator_->Receive(StatsFrame({leaf, leaf + 1}, LeafStats(1)));
  }

  std::vector<float> WholeGradient() const {
    std::vector<float> whole;
    for (size_t chunk = 0; chunk < accumulator_->chunk_count(); ++chunk) {
      const std::span<const float> part = accumulator_->gradient(chunk);
      whole.insert(whole.end(), part.begin(), part.end());
    }
    return whole;
  }

  // Mean over all leaves of one element, slowly.
  float SlowMean(uint64_t element) const {
    int64_t sum = 0;
    for (const std::vector<float>& leaf : leaves_) {
      sum += llrint(static_cast<double>(leaf[element]) * FixedPointScale(options_.fraction_bits));
    }
    return static_cast<float>(static_cast<double>(sum) * 0x1p-48);  // F = 42, batch 2^6.
  }

  std::shared_ptr<const Layout> layout_;
  AccumulatorOptions options_;
  std::unique_ptr<Accumulator> accumulator_;
  std::vector<std::vector<float>> leaves_;
};

TEST_F(AccumulatorTest, MeanOfAllLeavesBlockByBlock) {
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);

  ASSERT_TRUE(accumulator_->complete());
  ASSERT_EQ(accumulator_->chunk_count(), 2u);
  for (uint32_t b = 0; b < layout_->block_count(); ++b) {
    const Block& block = layout_->blocks()[b];
    const std::span<const float> gradient = accumulator_->block_gradient(b);
    ASSERT_EQ(gradient.size(), block.size);
    for (size_t i = 0; i < gradient.size(); ++i) {
      ASSERT_EQ(gradient[i], SlowMean(block.offset + i)) << "block " << b << " element " << i;
    }
    EXPECT_EQ(accumulator_->block_squares()[b], SlowSquareSum(gradient));
  }
  EXPECT_EQ(accumulator_->stats(), LeafStats(kLeaves));
}

TEST_F(AccumulatorTest, GapsBetweenTensorsAreZero) {
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);

  const std::span<const float> gradient = accumulator_->gradient(0);
  for (const size_t i : {5, 15, 16 + 7, 31}) EXPECT_EQ(gradient[i], 0.0f) << i;
}

TEST_F(AccumulatorTest, OrderAndGroupingDoNotChangeABit) {
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  const std::vector<float> expected = WholeGradient();
  const std::vector<double> squares = accumulator_->block_squares();

  Remake();
  accumulator_->Receive(StatsFrame({0, 4}, LeafStats(4)));
  accumulator_->Receive(FloatFrame(1, 3));
  accumulator_->Receive(IntegerFrame(1, {0, 3}));
  accumulator_->Receive(IntegerFrame(0, {1, 3}));
  accumulator_->Receive(FloatFrame(0, 0));
  const ReceiveResult last = accumulator_->Receive(FloatFrame(0, 3));

  EXPECT_TRUE(last.step_complete);
  EXPECT_EQ(WholeGradient(), expected);
  EXPECT_EQ(accumulator_->block_squares(), squares);
}

TEST_F(AccumulatorTest, SaysWhatBecameOfEachFrame) {
  const ReceiveResult stored = accumulator_->Receive(FloatFrame(0, 1));
  const ReceiveResult added = accumulator_->Receive(IntegerFrame(0, {2, 4}));
  const ReceiveResult duplicate = accumulator_->Receive(FloatFrame(0, 1));
  const ReceiveResult inside = accumulator_->Receive(FloatFrame(0, 2));
  const ReceiveResult overlap = accumulator_->Receive(IntegerFrame(0, {0, 2}));
  const ReceiveResult last = accumulator_->Receive(FloatFrame(0, 0));

  EXPECT_EQ(stored.verdict, Verdict::kStored);
  EXPECT_EQ(added.verdict, Verdict::kAdded);
  EXPECT_FALSE(added.chunk_complete);
  EXPECT_EQ(duplicate.verdict, Verdict::kDuplicate);
  EXPECT_FALSE(duplicate.nondeterministic);
  EXPECT_EQ(inside.verdict, Verdict::kDuplicate);
  EXPECT_EQ(overlap.verdict, Verdict::kOverlap);
  EXPECT_EQ(last.verdict, Verdict::kAdded);
  EXPECT_TRUE(last.chunk_complete);
  EXPECT_FALSE(last.step_complete);
  const AccumulatorCounters counters = accumulator_->counters();
  EXPECT_EQ(counters.frames[static_cast<size_t>(Verdict::kDuplicate)], 2u);
  EXPECT_EQ(counters.frames[static_cast<size_t>(Verdict::kOverlap)], 1u);
  const uint64_t elements = layout_->SpanElements(accumulator_->chunk_blocks(0));
  EXPECT_EQ(counters.payload_bytes, elements * (4 + 8 + 4));
}

TEST_F(AccumulatorTest, DuplicateAfterCompletionChangesNothing) {
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  const std::vector<float> before = WholeGradient();

  const ReceiveResult result = accumulator_->Receive(FloatFrame(0, 0));

  EXPECT_EQ(result.verdict, Verdict::kDuplicate);
  EXPECT_FALSE(result.step_complete);
  EXPECT_EQ(WholeGradient(), before);
}

TEST_F(AccumulatorTest, DuplicateWithOtherBitsIsReportedAndTheFirstStays) {
  accumulator_->Receive(FloatFrame(0, 1));
  leaves_[1][3] += 1.0f;

  const ReceiveResult result = accumulator_->Receive(FloatFrame(0, 1));

  EXPECT_EQ(result.verdict, Verdict::kDuplicate);
  EXPECT_TRUE(result.nondeterministic);
  EXPECT_EQ(accumulator_->counters().nondeterministic, 1u);
}

TEST_F(AccumulatorTest, OnlyWhatAnotherWorkerComputedAgainIsAnAudit) {
  accumulator_->Receive(FloatFrame(0, 1), "first");
  EXPECT_FALSE(accumulator_->Receive(FloatFrame(0, 1), "first").audited);  // Sent again.
  const ReceiveResult equal = accumulator_->Receive(FloatFrame(0, 1), "second");
  leaves_[1][3] += 1.0f;
  const ReceiveResult different = accumulator_->Receive(FloatFrame(0, 1), "third");
  // Of other leaves, or of these in another grouping, nothing is known.
  accumulator_->Receive(IntegerFrame(0, {2, 4}), "first");
  const ReceiveResult inside = accumulator_->Receive(FloatFrame(0, 2), "second");

  EXPECT_TRUE(equal.audited);
  EXPECT_FALSE(equal.nondeterministic);
  EXPECT_TRUE(different.audited);
  EXPECT_TRUE(different.nondeterministic);
  EXPECT_EQ(inside.verdict, Verdict::kDuplicate);
  EXPECT_FALSE(inside.audited);
}

TEST_F(AccumulatorTest, StepIsCompleteExactlyOnceWhenThreadsRace) {
  Mutex mutex;
  int complete = 0;
  std::vector<float> expected;
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  expected = WholeGradient();
  for (int round = 0; round < 5; ++round) {
    accumulator_->Open(kEpoch, kStep);
    complete = 0;
    std::vector<Thread> threads;
    for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) {
      // Every leaf is sent twice, by two threads.
      threads.emplace_back("sender", [&, leaf] {
        for (const uint32_t mine : {leaf, (leaf + 1) % kLeaves}) {
          for (size_t chunk = 0; chunk < accumulator_->chunk_count(); ++chunk) {
            const ReceiveResult result = accumulator_->Receive(FloatFrame(chunk, mine));
            MutexLock lock(&mutex);
            complete += result.step_complete ? 1 : 0;
          }
          const ReceiveResult result =
              accumulator_->Receive(StatsFrame({mine, mine + 1}, LeafStats(1)));
          MutexLock lock(&mutex);
          complete += result.step_complete ? 1 : 0;
        }
      });
    }
    threads.clear();
    EXPECT_EQ(complete, 1);
    EXPECT_EQ(WholeGradient(), expected);
  }
}

TEST_F(AccumulatorTest, OpenEmptiesWithoutZeroing) {
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  const std::vector<float> expected = WholeGradient();

  accumulator_->Open(kEpoch, kStep + 1);

  EXPECT_FALSE(accumulator_->complete());
  EXPECT_EQ(accumulator_->complete_leaves().count(), 0u);
  EXPECT_EQ(accumulator_->stats(), StepStats());
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 0)).verdict, Verdict::kStep);
  accumulator_->Open(kEpoch, kStep);
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  EXPECT_EQ(WholeGradient(), expected);
}

TEST_F(AccumulatorTest, AdoptedEpochKeepsWhatIsThere) {
  SendLeaf(0);

  accumulator_->AdoptEpoch(kEpoch + 1);

  EXPECT_EQ(accumulator_->complete_leaves().count(), 1u);
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 1)).verdict, Verdict::kEpoch);
  EXPECT_EQ(accumulator_->Receive(StatsFrame({1, 2}, LeafStats(1))).verdict, Verdict::kEpoch);
  ReceivedFrame of_new_epoch = [&] {
    FrameHeader header = ChunkHeader(0, {0, 1}, FrameEncoding::kF32);
    header.epoch = kEpoch + 1;
    return FrameOf(header, PayloadOf(Slice(0, 0)));
  }();
  EXPECT_EQ(accumulator_->Receive(of_new_epoch).verdict, Verdict::kDuplicate);
}

TEST_F(AccumulatorTest, RefusesEverythingBeforeOpenAndAfterClose) {
  std::unique_ptr<Accumulator> fresh = std::move(Accumulator::Make(layout_, options_)).value();
  FrameHeader header = ChunkHeader(0, {0, 1}, FrameEncoding::kF32);
  header.epoch = 0;
  EXPECT_EQ(fresh->Receive(FrameOf(header, PayloadOf(Slice(0, 0)))).verdict, Verdict::kStep);

  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  const std::vector<float> before = WholeGradient();
  accumulator_->Close();

  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 0)).verdict, Verdict::kStep);
  EXPECT_EQ(accumulator_->Receive(StatsFrame({0, 1}, LeafStats(1))).verdict, Verdict::kStep);
  EXPECT_EQ(WholeGradient(), before);
}

TEST_F(AccumulatorTest, CompleteLeavesAreThoseOfEveryPart) {
  accumulator_->Receive(IntegerFrame(0, {0, 3}));
  accumulator_->Receive(IntegerFrame(1, {1, 4}));
  EXPECT_EQ(accumulator_->complete_leaves().count(), 0u);

  accumulator_->Receive(StatsFrame({0, 2}, LeafStats(2)));

  const LeafSet leaves = accumulator_->complete_leaves();
  EXPECT_EQ(leaves.count(), 1u);
  EXPECT_TRUE(leaves.Contains(1));
}

TEST_F(AccumulatorTest, NanIsRefusedAndItsTensorNamed) {
  leaves_[2][16 + 6] = std::nanf("");  // Tensor "scale" begins at 16.

  const ReceiveResult result = accumulator_->Receive(FloatFrame(0, 2), "worker-3");

  EXPECT_EQ(result.verdict, Verdict::kNonfinite);
  EXPECT_TRUE(result.culprit);
  const Culprit expected = {{2, 3}, Verdict::kNonfinite, "scale", 6, "worker-3"};
  EXPECT_EQ(accumulator_->culprit(), expected);
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 1)).verdict, Verdict::kStored);
}

TEST_F(AccumulatorTest, OutOfRangeIsRefusedAndTheFirstCulpritStays) {
  // 16 samples per leaf: |g| < 2^14 * 16.
  leaves_[1][32 + 70000] = 262144.0f;  // Tensor "weight" begins at 32.
  leaves_[2][0] = 262143.9f;
  leaves_[3][0] = std::numeric_limits<float>::infinity();

  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 1), "worker-1").verdict, Verdict::kRange);
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 2)).verdict, Verdict::kStored);
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 3)).verdict, Verdict::kNonfinite);

  const Culprit expected = {{1, 2}, Verdict::kRange, "weight", 70000, "worker-1"};
  EXPECT_EQ(accumulator_->culprit(), expected);
  accumulator_->Open(kEpoch, kStep + 1);
  EXPECT_FALSE(accumulator_->culprit().has_value());
}

TEST_F(AccumulatorTest, IntegersMayBeAsLargeAsTheirLeavesAllow) {
  const uint64_t elements = layout_->SpanElements(accumulator_->chunk_blocks(1));
  const int64_t limit = FixedPointLimit(32, options_.fraction_bits);  // Two leaves of 16.
  const FrameHeader header = ChunkHeader(1, {0, 2}, FrameEncoding::kI64);
  std::vector<int64_t> sums(elements, 1 - limit);
  EXPECT_EQ(accumulator_->Receive(FrameOf(header, PayloadOf(sums))).verdict, Verdict::kStored);

  accumulator_->Open(kEpoch, kStep);
  sums[elements - 1] = -limit;
  EXPECT_EQ(accumulator_->Receive(FrameOf(header, PayloadOf(sums))).verdict, Verdict::kRange);
}

TEST_F(AccumulatorTest, WorkersReportOfANonfiniteGradientIsKept) {
  const FrameHeader header = Header(FrameType::kNonfinite, {1, 3});

  const ReceiveResult result = accumulator_->Receive(FrameOf(header, "weight\n[7]"), "worker-2");

  EXPECT_EQ(result.verdict, Verdict::kNonfinite);
  EXPECT_TRUE(result.culprit);
  const Culprit expected = {{1, 3}, Verdict::kNonfinite, "weight?[7]", 0, "worker-2"};
  EXPECT_EQ(accumulator_->culprit(), expected);
}

TEST_F(AccumulatorTest, StaleReportIsNoCulprit) {
  FrameHeader header = Header(FrameType::kNonfinite, {1, 3});
  header.step = kStep - 1;
  EXPECT_EQ(accumulator_->Receive(FrameOf(header, "weight")).verdict, Verdict::kStep);

  header.step = kStep;
  header.payload_crc = 1;
  EXPECT_EQ(accumulator_->Receive(FrameOf(header, "weight")).verdict, Verdict::kChecksum);
  EXPECT_FALSE(accumulator_->culprit().has_value());
}

TEST_F(AccumulatorTest, DamagedFramesMayBeSentAgain) {
  FrameHeader header = ChunkHeader(0, {1, 2}, FrameEncoding::kF32);
  header.payload_crc = 1;
  accumulator_->Receive(FloatFrame(0, 0));

  const ReceiveResult damaged = accumulator_->Receive(FrameOf(header, PayloadOf(Slice(0, 1))));

  EXPECT_EQ(damaged.verdict, Verdict::kChecksum);
  EXPECT_FALSE(damaged.culprit);
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 1)).verdict, Verdict::kAdded);
}

TEST_F(AccumulatorTest, RefusesImpossibleStatistics) {
  const std::vector<StepStats> impossible = {{0, 0, 0, 0},
                                             {0, 0, 15, 0},
                                             {0, 0, 17, 0},
                                             {0, -1, 16, 0},
                                             {0, 0, 16, -1},
                                             {int64_t{1} << 50, 0, 16, 0},
                                             {std::numeric_limits<int64_t>::min(), 0, 16, 0}};
  for (const StepStats& stats : impossible) {
    EXPECT_EQ(accumulator_->Receive(StatsFrame({0, 1}, stats)).verdict, Verdict::kRange);
  }
  EXPECT_EQ(accumulator_->Receive(StatsFrame({0, 1}, {-5, 0, 16, 0})).verdict, Verdict::kStored);
  EXPECT_EQ(accumulator_->Receive(StatsFrame({0, 1}, {-6, 0, 16, 0})).nondeterministic, true);
}

TEST_F(AccumulatorTest, RefusesAnotherShardsChunk) {
  options_.owned = {0, 16};
  Remake();
  FrameHeader header = ChunkHeader(0, {0, 1}, FrameEncoding::kF32);
  header.block_begin = 16;

  EXPECT_EQ(accumulator_->Receive(FrameOf(header, "1234")).verdict, Verdict::kLayout);
  header.block_begin = 0xffffffff;
  EXPECT_EQ(accumulator_->Receive(FrameOf(header, "1234")).verdict, Verdict::kLayout);
  header.epoch = kEpoch - 1;
  EXPECT_EQ(accumulator_->Receive(FrameOf(header, "1234")).verdict, Verdict::kEpoch);
}

TEST_F(AccumulatorTest, RestoresACompleteStep) {
  for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) SendLeaf(leaf);
  const std::vector<float> gradient = WholeGradient();
  const std::vector<double> squares = accumulator_->block_squares();
  Remake();

  ASSERT_TRUE(accumulator_->LoadGradient(kEpoch, kStep, gradient, LeafStats(kLeaves)).ok());

  EXPECT_TRUE(accumulator_->complete());
  EXPECT_TRUE(accumulator_->complete_leaves().full());
  EXPECT_EQ(WholeGradient(), gradient);
  EXPECT_EQ(accumulator_->block_squares(), squares);
  EXPECT_EQ(accumulator_->stats(), LeafStats(kLeaves));
  EXPECT_EQ(accumulator_->Receive(FloatFrame(0, 0)).verdict, Verdict::kDuplicate);
}

TEST_F(AccumulatorTest, RefusesToRestoreAnotherLength) {
  const std::vector<float> gradient(accumulator_->gradient_elements() - 1);

  EXPECT_EQ(accumulator_->LoadGradient(kEpoch, kStep, gradient, {}).code(), Code::kInvalidArgument);
}

TEST_F(AccumulatorTest, ShardWithoutBlocksNeedsOnlyStatistics) {
  options_.owned = {3, 3};
  Remake();

  const ReceiveResult result = accumulator_->Receive(StatsFrame({0, 4}, LeafStats(4)));

  EXPECT_TRUE(result.step_complete);
  EXPECT_EQ(accumulator_->bytes(), 0u);
}

TEST_F(AccumulatorTest, HoldsEightBytesPerElement) {
  const uint64_t elements = accumulator_->gradient_elements();

  EXPECT_GE(accumulator_->bytes(), 8 * elements);
  EXPECT_LE(accumulator_->bytes(), 8 * elements + 2 * 64);
}

TEST_F(AccumulatorTest, RefusesImpossibleOptions) {
  const auto code = [&](auto change) {
    AccumulatorOptions options = options_;
    change(&options);
    return Accumulator::Make(layout_, options).status().code();
  };
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->shapes[0].leaves = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->shapes[0].leaves = kLeavesMax + 1; }),
            Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->shapes[0].batch = 63; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->shapes[0].batch = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->fraction_bits = 43; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->fraction_bits = -1; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->owned = {2, 1}; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions* o) { o->owned = {0, 1000}; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](AccumulatorOptions*) {}), Code::kOk);
}

TEST_F(AccumulatorTest, SurvivesRandomHeaders) {
  std::mt19937_64 random(9);
  for (int i = 0; i < 3000; ++i) {
    FrameHeader header = ChunkHeader(random() % 2, {0, 1}, FrameEncoding::kF32);
    const FrameType types[] = {FrameType::kGradient, FrameType::kStats, FrameType::kNonfinite};
    header.type = types[random() % 3];
    header.encoding = static_cast<FrameEncoding>(random() % 3);
    const auto scramble = [&](auto* field) {
      if (random() % 4 == 0) *field = static_cast<std::remove_pointer_t<decltype(field)>>(random());
    };
    scramble(&header.job);
    scramble(&header.epoch);
    scramble(&header.step);
    scramble(&header.block_begin);
    scramble(&header.block_count);
    scramble(&header.leaf_begin);
    scramble(&header.leaf_end);
    scramble(&header.layout_hash);
    std::string payload(random() % 100, '\0');
    for (char& c : payload) c = static_cast<char>(random());
    const ReceiveResult result = accumulator_->Receive(FrameOf(header, payload, random() % 9));
    EXPECT_TRUE(IsRefusal(result.verdict));
  }
  EXPECT_EQ(accumulator_->complete_leaves().count(), 0u);
}

// Steps from kStep on have two leaves of 8 samples, those before kLeaves.
TEST_F(AccumulatorTest, APhaseWithOtherLeavesAndAnotherBatchIsFullWithThose) {
  options_.shapes = {{0, kLeaves, kBatch}, {kStep, 2, 16}};
  Remake();

  for (uint32_t leaf = 0; leaf < 2; ++leaf) {
    FrameHeader header = Header(FrameType::kStats, {leaf, leaf + 1});
    header.encoding = FrameEncoding::kI64;
    std::array<std::byte, kStepStatsBytes> bytes;
    EncodeStepStats({1, 1, 8, 0}, bytes);
    const ReceivedFrame stats =
        FrameOf(header, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    EXPECT_FALSE(IsRefusal(accumulator_->Receive(stats).verdict));
    for (size_t chunk = 0; chunk < accumulator_->chunk_count(); ++chunk) {
      EXPECT_EQ(accumulator_->complete(), false);
      EXPECT_FALSE(IsRefusal(accumulator_->Receive(FloatFrame(chunk, leaf)).verdict));
    }
  }

  EXPECT_TRUE(accumulator_->complete());
  EXPECT_EQ(accumulator_->leaves(), 2u);
  EXPECT_EQ(accumulator_->stats().samples, 16);
  int64_t sum = 0;
  for (uint32_t leaf = 0; leaf < 2; ++leaf) {
    sum += llrint(static_cast<double>(Slice(0, leaf)[0]) * FixedPointScale(options_.fraction_bits));
  }
  EXPECT_EQ(accumulator_->gradient(0)[0],
            static_cast<float>(static_cast<double>(sum) *
                               FixedPointMeanFactor(options_.fraction_bits, 16)));

  accumulator_->Open(kEpoch, kStep - 1);
  EXPECT_EQ(accumulator_->leaves(), kLeaves);
  FrameHeader late = ChunkHeader(0, {3, 4}, FrameEncoding::kF32);
  late.step = kStep - 1;
  EXPECT_EQ(accumulator_->Receive(FrameOf(late, PayloadOf(Slice(0, 3)), 100003)).verdict,
            Verdict::kStored);
}

}  // namespace
}  // namespace drover
