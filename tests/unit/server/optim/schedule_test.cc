#include "server/optim/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(ScheduleTest, IsConstantByDefault) {
  const Schedule schedule;

  EXPECT_EQ(LearningRate(schedule, {.step = 0}), 1e-3);
  EXPECT_EQ(LearningRate(schedule, {.step = 1'000'000}), 1e-3);
}

// The recipe of the MNIST experiments: 0.02 after 10 steps of warm-up, then linearly to 0 at 110.
TEST(ScheduleTest, WarmsUpLinearlyAndDecaysLinearly) {
  Schedule schedule;
  schedule.peak = 0.02;
  schedule.warmup_steps = 10;
  schedule.decay = Decay::kPolynomial;
  schedule.total_steps = 110;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 0.002);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 4}), 0.010);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 9}), 0.020);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 10}), 0.020);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 60}), 0.010);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 109}), 0.0002);
  EXPECT_EQ(LearningRate(schedule, {.step = 110}), 0.0);
  EXPECT_EQ(LearningRate(schedule, {.step = 5000}), 0.0);
}

TEST(ScheduleTest, DecaysToTheEndRateWithThePower) {
  Schedule schedule;
  schedule.peak = 1.0;
  schedule.end = 0.2;
  schedule.decay = Decay::kPolynomial;
  schedule.power = 0.5;
  schedule.total_steps = 100;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 75}), 0.2 + 0.8 * 0.5);  // sqrt(1/4).
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 100}), 0.2);
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

  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 1999}), 6e-3);
  EXPECT_NEAR(LearningRate(schedule, {.step = 2000}) / 6e-3, 0.846, 5e-4);
}

// MLPerf BERT at batch 8192: 287 steps of warm-up that began 76 steps before the job.
TEST(ScheduleTest, ANegativeStartEntersInTheMiddleOfTheWarmUp) {
  Schedule schedule;
  schedule.peak = 287.0;
  schedule.warmup_steps = 287;
  schedule.start_warmup_step = -76;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 77.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 209}), 286.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 210}), 287.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 211}), 287.0);

  schedule.start_warmup_step = -1000;  // Over before the job begins.
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 287.0);
}

// The LAMB paper: 5e-3 at 32K and the root of the batch below: 5 / (2^1.5 * 1e3) at 4K.
TEST(ScheduleTest, ScalesWithTheBatch) {
  Schedule schedule;
  schedule.peak = 5e-3;
  schedule.base_batch = 32768;
  schedule.batch = 4096;

  schedule.lr_scaling = LrScaling::kSqrt;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 5.0 / (std::pow(2.0, 1.5) * 1e3));
  schedule.lr_scaling = LrScaling::kLinear;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 5e-3 / 8);
  schedule.lr_scaling = LrScaling::kNone;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0}), 5e-3);
}

TEST(ScheduleTest, AJobShorterThanItsWarmUpNeverDecays) {
  Schedule schedule;
  schedule.peak = 1.0;
  schedule.warmup_steps = 10;
  schedule.decay = Decay::kPolynomial;
  schedule.total_steps = 5;

  EXPECT_TRUE(Validate(schedule).ok());
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 4}), 0.5);
}

// Step and learning rate.
using Rates = std::vector<std::pair<int64_t, double>>;

void ExpectRates(const Schedule& schedule, const Rates& rates, int64_t train_samples = 0) {
  ASSERT_TRUE(Validate(schedule).ok()) << Validate(schedule).message();
  for (const auto& [step, rate] : rates) {
    EXPECT_NEAR(LearningRate(schedule, {.step = step, .train_samples = train_samples}), rate,
                1e-14 * schedule.peak)
        << "step " << step;
  }
}

Schedule Decaying(Decay decay) {
  Schedule schedule;
  schedule.peak = 0.1;
  schedule.decay = decay;
  return schedule;
}

// The numbers of PyTorch's schedulers: tests/golden/schedules.py.
TEST(ScheduleTest, StepsAsPyTorchStepLR) {
  Schedule schedule = Decaying(Decay::kStep);
  schedule.every_steps = 7;

  ExpectRates(schedule, {{0, 0.1},
                         {1, 0.1},
                         {6, 0.1},
                         {7, 0.05},
                         {13, 0.05},
                         {14, 0.025},
                         {50, 0.00078125},
                         {99, 6.103515625e-06}});
}

TEST(ScheduleTest, DecaysAsPyTorchExponentialLR) {
  Schedule schedule = Decaying(Decay::kExponential);
  schedule.every_steps = 7;
  schedule.factor = 0.9;

  ExpectRates(schedule, {{0, 0.1},
                         {1, 0.09850612054411156},
                         {6, 0.09136488118999424},
                         {7, 0.09000000000000002},
                         {50, 0.04711517208727495},
                         {99, 0.022535040752310182}});
}

TEST(ScheduleTest, DecaysAsPyTorchCosineAnnealingLR) {
  Schedule schedule = Decaying(Decay::kCosine);
  schedule.total_steps = 100;
  schedule.end = 0.01;

  ExpectRates(schedule, {{0, 0.1},
                         {1, 0.09997779521645793},
                         {6, 0.09920292628279101},
                         {13, 0.09629895815577916},
                         {50, 0.055000000000000014},
                         {99, 0.010022204783542078},
                         {100, 0.01},
                         {5000, 0.01}});
}

TEST(ScheduleTest, DecaysAsPyTorchPolynomialLR) {
  Schedule schedule = Decaying(Decay::kPolynomial);
  schedule.total_steps = 100;
  schedule.power = 2.0;

  ExpectRates(schedule, {{0, 0.1}, {1, 0.09801}, {13, 0.07569000000000004}, {99, 1e-05}});
}

TEST(ScheduleTest, DecaysWithTheInverseOfTimeAndItsRoot) {
  Schedule schedule = Decaying(Decay::kInverseTime);
  schedule.every_steps = 7;
  ExpectRates(schedule, {{0, 0.1},
                         {1, 0.08750000000000001},
                         {7, 0.05},
                         {50, 0.012280701754385967},
                         {99, 0.006603773584905661}});

  schedule.decay = Decay::kInverseSqrt;
  ExpectRates(schedule, {{0, 0.1},
                         {1, 0.09354143466934854},
                         {7, 0.07071067811865477},
                         {50, 0.03504383220252313},
                         {99, 0.025697808437502336}});
}

// DeepSpeed's BERT recipe: x .9 per 250 steps after the warm-up, never below 1e-3.
TEST(ScheduleTest, DecaysCountFromTheEndOfTheWarmUpAndStopAtTheEndRate) {
  Schedule schedule = Decaying(Decay::kStep);
  schedule.peak = 1.1e-2;
  schedule.end = 1e-3;
  schedule.warmup_steps = 150;
  schedule.factor = 0.9;
  schedule.every_steps = 250;

  ExpectRates(
      schedule,
      {{149, 1.1e-2}, {399, 1.1e-2}, {400, 0.9 * 1.1e-2}, {650, 0.81 * 1.1e-2}, {100'000, 1e-3}});
  schedule.decay_origin = DecayOrigin::kStepZero;
  ExpectRates(schedule, {{149, 1.1e-2}, {249, 1.1e-2}, {250, 0.9 * 1.1e-2}});
}

// 60,000 samples in batches of 32,768: pass 1 is over within step 1, pass 2 within step 3.
TEST(ScheduleTest, HalvesEveryDataPass) {
  Schedule schedule = Decaying(Decay::kStep);
  schedule.batch = 32768;
  schedule.every_passes = 1;

  ExpectRates(schedule, {{0, 0.1}, {1, 0.1}, {2, 0.05}, {3, 0.05}, {4, 0.025}}, 60'000);
  schedule.every_passes = 2;
  ExpectRates(schedule, {{3, 0.1}, {4, 0.05}, {7, 0.05}, {8, 0.025}}, 60'000);
}

TEST(ScheduleTest, ABatchOfSeveralDataPassesHalvesSeveralTimes) {
  Schedule schedule = Decaying(Decay::kStep);
  schedule.batch = 300;
  schedule.every_passes = 1;

  ExpectRates(schedule, {{0, 0.1}, {1, 0.1 / 8}, {2, 0.1 / 64}}, 100);
}

TEST(ScheduleTest, PlateausReduceByTheFactorDownToTheEndRate) {
  Schedule schedule = Decaying(Decay::kPlateau);
  schedule.end = 0.02;
  schedule.warmup_steps = 2;

  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 0, .reductions = 0}), 0.05);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 9, .reductions = 0}), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 9, .reductions = 2}), 0.025);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, {.step = 9, .reductions = 3}), 0.02);
}

TEST(ScheduleTest, RefusesAPeriodThatIsMissingOrGivenTwice) {
  for (const Decay decay :
       {Decay::kStep, Decay::kExponential, Decay::kInverseTime, Decay::kInverseSqrt}) {
    Schedule schedule = Decaying(decay);
    schedule.batch = 8;
    EXPECT_EQ(Validate(schedule).code(), Code::kInvalidArgument);
    schedule.every_steps = 1;
    EXPECT_TRUE(Validate(schedule).ok());
    schedule.every_passes = 1;
    EXPECT_EQ(Validate(schedule).code(), Code::kInvalidArgument);
    schedule.every_steps = 0;
    EXPECT_TRUE(Validate(schedule).ok());
    schedule.every_passes = -1;
    EXPECT_EQ(Validate(schedule).code(), Code::kInvalidArgument);
  }
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
      {"batch", [](Schedule& s, double v) { s.batch = int64_t(v); }, {0.0, -1.0}},
      {"factor", [](Schedule& s, double v) { s.factor = v; }, {0.0, -1.0, 1.5, nan}},
      {"patience", [](Schedule& s, double v) { s.plateau.patience = int64_t(v); }, {-1}},
      {"min_improvement",
       [](Schedule& s, double v) { s.plateau.min_improvement = v; },
       {-0.1, 1.0, nan}},
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
      schedule.base_batch = 512;
      schedule.batch = 512;
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
