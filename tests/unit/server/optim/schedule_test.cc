#include "server/optim/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(ScheduleTest, IsConstantByDefault) {
  const Schedule schedule;

  EXPECT_EQ(LearningRate(schedule, 0), 1e-3);
  EXPECT_EQ(LearningRate(schedule, 1'000'000), 1e-3);
}

// The recipe of the MNIST experiments: 0.02 after 10 steps of warm-up, then linearly to 0 at 110.
TEST(ScheduleTest, WarmsUpLinearlyAndDecaysLinearly) {
  Schedule schedule;
  schedule.peak = 0.02;
  schedule.warmup_steps = 10;
  schedule.decay = Decay::kPolynomial;
  schedule.total_steps = 110;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 0.002);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 4), 0.010);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 9), 0.020);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 10), 0.020);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 60), 0.010);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 109), 0.0002);
  EXPECT_EQ(LearningRate(schedule, 110), 0.0);
  EXPECT_EQ(LearningRate(schedule, 5000), 0.0);
}

TEST(ScheduleTest, DecaysToTheEndRateWithThePower) {
  Schedule schedule;
  schedule.peak = 1.0;
  schedule.end = 0.2;
  schedule.decay = Decay::kPolynomial;
  schedule.power = 0.5;
  schedule.total_steps = 100;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 75), 0.2 + 0.8 * 0.5);  // sqrt(1/4).
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 100), 0.2);
}

// NVIDIA DeepLearningExamples, BERT phase 1: 6e-3, 2000 of 7038 steps of warm-up; the rate falls to
// 0.846 of the peak when the warm-up ends.
TEST(ScheduleTest, DecayFromStepZeroJumpsAtTheEndOfTheWarmUp) {
  Schedule schedule;
  schedule.peak = 6e-3;
  schedule.warmup_steps = 2000;
  schedule.decay = Decay::kPolynomial;
  schedule.decay_origin = DecayOrigin::kStepZero;
  schedule.power = 0.5;
  schedule.total_steps = 7038;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1999), 6e-3);
  EXPECT_NEAR(LearningRate(schedule, 2000) / 6e-3, 0.846, 5e-4);
}

// MLPerf BERT at batch 8192: 287 steps of warm-up that began 76 steps before the job.
TEST(ScheduleTest, ANegativeStartEntersInTheMiddleOfTheWarmUp) {
  Schedule schedule;
  schedule.peak = 287.0;
  schedule.warmup_steps = 287;
  schedule.start_warmup_step = -76;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 77.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 209), 286.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 210), 287.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 211), 287.0);

  schedule.start_warmup_step = -1000;  // Over before the job begins.
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 287.0);
}

// The LAMB paper: 5e-3 at 32K and the root of the batch below: 5 / (2^1.5 * 1e3) at 4K.
TEST(ScheduleTest, ScalesWithTheBatch) {
  Schedule schedule;
  schedule.peak = 5e-3;
  schedule.base_batch = 32768;
  schedule.batch = 4096;

  schedule.lr_scaling = LrScaling::kSqrt;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 5.0 / (std::pow(2.0, 1.5) * 1e3));
  schedule.lr_scaling = LrScaling::kLinear;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 5e-3 / 8);
  schedule.lr_scaling = LrScaling::kNone;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0), 5e-3);
}

TEST(ScheduleTest, AJobShorterThanItsWarmUpNeverDecays) {
  Schedule schedule;
  schedule.peak = 1.0;
  schedule.warmup_steps = 10;
  schedule.decay = Decay::kPolynomial;
  schedule.total_steps = 5;

  EXPECT_TRUE(Validate(schedule).ok());
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 4), 0.5);
}

TEST(ScheduleTest, RefusesByName) {
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  struct Bad {
    const char* name;
    void (*spoil)(Schedule&, double);
    std::vector<double> values;
  };
  const std::vector<Bad> bads = {
      {"peak", [](Schedule& s, double v) { s.peak = v; }, {-1e-3, nan, infinity}},
      {"end", [](Schedule& s, double v) { s.end = v; }, {-1e-3, nan, infinity}},
      {"power", [](Schedule& s, double v) { s.power = v; }, {0.0, -1.0, nan, infinity}},
      {"base_batch", [](Schedule& s, double v) { s.base_batch = v; }, {0.0, -1.0, nan, infinity}},
      {"batch", [](Schedule& s, double v) { s.batch = v; }, {0.0, -1.0, nan, infinity}},
      {"warmup_steps", [](Schedule& s, double v) { s.warmup_steps = int64_t(v); }, {-1, 0x1p60}},
      {"start_warmup_step",
       [](Schedule& s, double v) { s.start_warmup_step = int64_t(v); },
       {1, -0x1p60}},
      {"total_steps", [](Schedule& s, double v) { s.total_steps = int64_t(v); }, {0, -1, 0x1p60}},
  };
  for (const Bad& bad : bads) {
    for (const double value : bad.values) {
      Schedule schedule;
      schedule.decay = Decay::kPolynomial;
      schedule.total_steps = 100;
      schedule.lr_scaling = LrScaling::kSqrt;
      schedule.base_batch = schedule.batch = 512;
      ASSERT_TRUE(Validate(schedule).ok());
      bad.spoil(schedule, value);

      const Status status = Validate(schedule);

      EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad.name << " = " << value;
      EXPECT_THAT(status.message(), HasSubstr(std::string("schedule ") + bad.name + " is "));
    }
  }
}

}  // namespace
}  // namespace drover
