#include "server/shard/step_engine.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/crc32c.h"
#include "common/tensor/bf16.h"
#include "server/shard/shard_store.h"
#include "tests/unit/server/shard/slow_job.h"

namespace drover {
namespace {

std::vector<float> WeightsOf(const StepEngine& engine) {
  const std::span<const float> weights = engine.current()->weights->span();
  return {weights.begin(), weights.end()};
}

std::unique_ptr<Accumulator> FilledAccumulator(const PlaceOrder& place, int64_t step) {
  AccumulatorOptions options;
  options.job = place.job;
  options.owned = place.blocks;
  options.shapes = place.shapes;
  options.fraction_bits = place.fraction_bits;
  Result<std::unique_ptr<Accumulator>> made = Accumulator::Make(place.layout, options);
  EXPECT_TRUE(made.ok());
  made.value()->Open(place.epoch, static_cast<uint64_t>(step));
  EXPECT_TRUE(FillStep(made.value().get(), step));
  return std::move(made).value();
}

class StepEngineTest : public testing::Test {
 protected:
  StepEngineTest()
      : layout_(SlowJobLayout()),
        place_(SlowJobPlace(layout_)),
        engine_(layout_, layout_->all_blocks(), Rule::kLamb, /*threads=*/1),
        slow_(layout_) {
    engine_.FillFromSeed(kSlowJobSeed);
    engine_.Begin(0, 0);
  }

  const std::shared_ptr<const Layout> layout_;
  const PlaceOrder place_;
  StepEngine engine_;
  SlowJob slow_;
};

TEST_F(StepEngineTest, VersionZeroIsTheInitialWeights) {
  EXPECT_EQ(WeightsOf(engine_), slow_.weights());
  EXPECT_EQ(engine_.version(), 0);
}

TEST_F(StepEngineTest, ChunkChecksumsAreOfTheServedBytes) {
  const std::vector<BlockRange> chunks = layout_->Chunks(layout_->all_blocks());
  ASSERT_EQ(engine_.current()->chunk_crcs.size(), chunks.size());
  EXPECT_EQ(engine_.current()->chunk_crcs[0],
            Crc32c(slow_.weights().data(), slow_.weights().size() * sizeof(float)));
}

TEST_F(StepEngineTest, Bf16VersionsAreTheWeightsRoundedAndCheckedAsSent) {
  StepEngine engine(layout_, layout_->all_blocks(), Rule::kLamb, /*threads=*/1,
                    /*publish_bf16=*/true);
  engine.FillFromSeed(kSlowJobSeed);
  engine.Begin(0, 0);

  const Version& version = *engine.current();
  ASSERT_NE(version.rounded, nullptr);
  ASSERT_EQ(version.rounded->size(), slow_.weights().size());
  for (size_t i = 0; i < slow_.weights().size(); ++i) {
    ASSERT_EQ(version.rounded->data()[i], ToBf16(slow_.weights()[i])) << i;
  }
  EXPECT_EQ(version.chunk_crcs[0], Crc32c(version.rounded->data(), version.rounded->bytes()));
  EXPECT_EQ(WeightsOf(engine), slow_.weights());
  EXPECT_EQ(engine_.current()->rounded, nullptr);
}

TEST_F(StepEngineTest, MeasureIsASlowLoopAndChangesNothing) {
  const auto accumulator = FilledAccumulator(place_, 0);
  const UpdateNumbers numbers = SlowJobNumbers(*layout_, 1);

  const MeasuredSquares first = engine_.Measure(numbers, *accumulator);
  const MeasuredSquares second = engine_.Measure(numbers, *accumulator);

  EXPECT_EQ(first.weight, SlowJob::BlockSquares(*layout_, slow_.weights()));
  EXPECT_EQ(first.direction, SlowJob::BlockSquares(*layout_, slow_.Directions(numbers)));
  EXPECT_EQ(first.direction, second.direction);
  EXPECT_EQ(WeightsOf(engine_), slow_.weights());
}

TEST_F(StepEngineTest, ThreeStepsAreASlowLoop) {
  for (int64_t step = 0; step < 3; ++step) {
    const auto accumulator = FilledAccumulator(place_, step);
    const UpdateNumbers numbers = SlowJobNumbers(*layout_, step + 1);
    ASSERT_TRUE(engine_.ReserveNext(Duration(0)));
    engine_.Apply(numbers, *accumulator);
    slow_.Apply(numbers);

    EXPECT_EQ(WeightsOf(engine_), slow_.weights()) << "step " << step;
    EXPECT_EQ(engine_.version(), step + 1);
    EXPECT_EQ(engine_.applied(), step + 1);
  }
}

TEST_F(StepEngineTest, EveryKindOfStateIsASlowLoop) {
  const std::shared_ptr<const Layout> layout = SlowJobLayout(300);
  for (const RuleState& rule : StatesOfEachKind()) {
    const PlaceOrder place = SlowJobPlace(layout, /*epoch=*/1, rule);
    StepEngine engine(layout, layout->all_blocks(), rule, /*threads=*/1);
    engine.FillFromSeed(kSlowJobSeed);
    engine.Begin(0, 0);
    SlowJob slow(layout, rule.rule);
    EXPECT_EQ(engine.arrays().size(), 1u + static_cast<size_t>(rule.arrays()));
    for (int64_t step = 0; step < 5; ++step) {
      const auto accumulator = FilledAccumulator(place, step);
      const UpdateNumbers numbers = SlowJobNumbers(*layout, step + 1, rule);
      ASSERT_TRUE(engine.Check(numbers, /*with_scales=*/true).ok());
      EXPECT_EQ(engine.Measure(numbers, *accumulator).direction,
                SlowJob::BlockSquares(*layout, slow.Directions(numbers)));
      ASSERT_TRUE(engine.ReserveNext(Duration(0)));
      engine.Apply(numbers, *accumulator);
      slow.Apply(numbers);

      ASSERT_EQ(WeightsOf(engine), slow.weights()) << rule.name() << ", step " << step;
    }
  }
}

TEST_F(StepEngineTest, LookaheadForARuleWithoutIsRefused) {
  const RuleState with = {Rule::kLamb, /*with_lookahead=*/true};

  const Status refused = engine_.Check(SlowJobNumbers(*layout_, 2, with), true);

  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_EQ(refused.message(), "update with Lookahead: rule lamb was placed");
}

TEST_F(StepEngineTest, ASkippedStepServesTheSameBufferUnderTheNextNumber) {
  const std::shared_ptr<const Version> before = engine_.current();

  engine_.Skip();

  EXPECT_EQ(engine_.version(), 1);
  EXPECT_EQ(engine_.applied(), 0);
  EXPECT_EQ(engine_.current()->weights.get(), before->weights.get());
  EXPECT_EQ(engine_.current()->chunk_crcs, before->chunk_crcs);
}

TEST_F(StepEngineTest, AReaderOfTheVersionBeforeKeepsTheNextFromBeingReserved) {
  const std::shared_ptr<const Version> read = engine_.current();
  const auto accumulator = FilledAccumulator(place_, 0);
  ASSERT_TRUE(engine_.ReserveNext(Duration(0)));
  engine_.Apply(SlowJobNumbers(*layout_, 1), *accumulator);

  EXPECT_FALSE(engine_.ReserveNext(Duration(1)));
  engine_.ReserveNextExtra();
  EXPECT_TRUE(engine_.ReserveNext(Duration(0)));

  EXPECT_EQ(std::vector<float>(read->weights->span().begin(), read->weights->span().end()),
            slow_.weights());
}

TEST_F(StepEngineTest, NumbersThatDoNotFitTheLayoutAreRefused) {
  UpdateNumbers numbers = SlowJobNumbers(*layout_, 1);
  EXPECT_TRUE(engine_.Check(numbers, true).ok());
  numbers.tensor_scales.clear();
  EXPECT_TRUE(engine_.Check(numbers, false).ok());
  EXPECT_EQ(engine_.Check(numbers, true).code(), Code::kInvalidArgument);
  numbers.tensor_groups[1] = 2;
  EXPECT_EQ(engine_.Check(numbers, false).code(), Code::kInvalidArgument);
  numbers.tensor_groups.pop_back();
  EXPECT_EQ(engine_.Check(numbers, false).code(), Code::kInvalidArgument);
}

// Large enough that threads get a part each.
TEST(StepEngineSplitTest, TheSplitOverThreadsChangesNoBit) {
  const std::shared_ptr<const Layout> layout = SlowJobLayout(int64_t{2} << 20);
  const PlaceOrder place = SlowJobPlace(layout);
  const UpdateNumbers numbers = SlowJobNumbers(*layout, 1);
  const auto accumulator = FilledAccumulator(place, 0);
  std::vector<float> weights;
  std::vector<double> squares;
  for (const int threads : {1, 3, 64}) {
    StepEngine engine(layout, layout->all_blocks(), Rule::kLamb, threads);
    engine.FillFromSeed(kSlowJobSeed);
    engine.Begin(0, 0);
    const MeasuredSquares measured = engine.Measure(numbers, *accumulator);
    ASSERT_TRUE(engine.ReserveNext(Duration(0)));
    engine.Apply(numbers, *accumulator);

    if (threads == 1) {
      weights = WeightsOf(engine);
      squares = measured.direction;
    }
    EXPECT_EQ(WeightsOf(engine), weights) << threads << " threads";
    EXPECT_EQ(measured.direction, squares) << threads << " threads";
  }
}

TEST(StepEngineSplitTest, AShardWithoutBlocksSteps) {
  const std::shared_ptr<const Layout> layout = SlowJobLayout();
  StepEngine engine(layout, {0, 0}, Rule::kAdamW, 2);
  engine.FillFromSeed(1);
  engine.Begin(0, 0);
  engine.Skip();

  EXPECT_EQ(engine.version(), 1);
  EXPECT_TRUE(engine.current()->chunk_crcs.empty());
}

}  // namespace
}  // namespace drover
