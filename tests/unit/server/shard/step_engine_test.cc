#include "server/shard/step_engine.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/crc32c.h"
#include "common/tensor/bf16.h"
#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {
namespace {

std::vector<float> WeightsOf(const StepEngine& engine) {
  const std::span<const float> weights = engine.current()->weights->span();
  return {weights.begin(), weights.end()};
}

// Opens `step` and hands in all of its leaves.
void Fill(Accumulator* accumulator, const PlaceOrder& place, int64_t step) {
  accumulator->Open(place.epoch, static_cast<uint64_t>(step));
  ASSERT_TRUE(FillStep(accumulator, step));
}

class StepEngineTest : public testing::Test {
 protected:
  StepEngineTest()
      : layout_(SlowJobLayout()),
        place_(SlowJobPlace(layout_)),
        range_(place_),
        slow_(layout_),
        engine_(*range_.engine),
        accumulator_(*range_.accumulator) {}

  const std::shared_ptr<const Layout> layout_;
  const PlaceOrder place_;
  const TestRange range_;
  SlowJob slow_;
  StepEngine& engine_;
  Accumulator& accumulator_;
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
  PlaceOrder place = place_;
  place.publish_bf16 = true;
  const TestRange range(place);

  const Version& version = *range.engine->current();
  ASSERT_NE(version.rounded, nullptr);
  ASSERT_EQ(version.rounded->size(), slow_.weights().size());
  for (size_t i = 0; i < slow_.weights().size(); ++i) {
    ASSERT_EQ(version.rounded->data()[i], ToBf16(slow_.weights()[i])) << i;
  }
  EXPECT_EQ(version.chunk_crcs[0], Crc32c(version.rounded->data(), version.rounded->bytes()));
  EXPECT_EQ(WeightsOf(*range.engine), slow_.weights());
  EXPECT_EQ(engine_.current()->rounded, nullptr);
}

TEST_F(StepEngineTest, MeasureIsASlowLoopAndChangesNothing) {
  Fill(&accumulator_, place_, 0);
  const UpdateNumbers numbers = SlowJobNumbers(*layout_, 1);

  const MeasuredSquares first = engine_.Measure(numbers, accumulator_);
  const MeasuredSquares second = engine_.Measure(numbers, accumulator_);

  EXPECT_EQ(first.weight, SlowJob::BlockSquares(*layout_, slow_.weights()));
  EXPECT_EQ(first.direction, SlowJob::BlockSquares(*layout_, slow_.Directions(numbers)));
  EXPECT_EQ(first.direction, second.direction);
  EXPECT_EQ(WeightsOf(engine_), slow_.weights());
}

TEST_F(StepEngineTest, ThreeStepsAreASlowLoop) {
  for (int64_t step = 0; step < 3; ++step) {
    Fill(&accumulator_, place_, step);
    const UpdateNumbers numbers = SlowJobNumbers(*layout_, step + 1);
    ASSERT_TRUE(engine_.ReserveNext(Duration(0)));
    engine_.Apply(numbers, accumulator_);
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
    const TestRange range(place);
    StepEngine& engine = *range.engine;
    SlowJob slow(layout, rule.rule);
    EXPECT_EQ(engine.arrays().size(), 1u + static_cast<size_t>(rule.arrays()));
    for (int64_t step = 0; step < 5; ++step) {
      Fill(range.accumulator.get(), place, step);
      const UpdateNumbers numbers = SlowJobNumbers(*layout, step + 1, rule);
      ASSERT_TRUE(engine.Check(numbers, /*with_scales=*/true).ok());
      EXPECT_EQ(engine.Measure(numbers, *range.accumulator).direction,
                SlowJob::BlockSquares(*layout, slow.Directions(numbers)));
      ASSERT_TRUE(engine.ReserveNext(Duration(0)));
      engine.Apply(numbers, *range.accumulator);
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
  Fill(&accumulator_, place_, 0);
  ASSERT_TRUE(engine_.ReserveNext(Duration(0)));
  engine_.Apply(SlowJobNumbers(*layout_, 1), accumulator_);

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

TEST(EmptyStepEngineTest, AShardWithoutBlocksSteps) {
  PlaceOrder place = SlowJobPlace(SlowJobLayout(), /*epoch=*/1, Rule::kAdamW);
  place.blocks = {0, 0};
  const TestRange range(place, /*threads=*/2);
  range.engine->Skip();

  EXPECT_EQ(range.engine->version(), 1);
  EXPECT_TRUE(range.engine->current()->chunk_crcs.empty());
}

}  // namespace
}  // namespace drover
