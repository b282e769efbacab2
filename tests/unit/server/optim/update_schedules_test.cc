// The kernels of the update under many orders of threads and blocks, and that a broken copy of them
// would be noticed. Only on the emulator.

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "common/tensor/accumulate_gpu.h"
#include "common/tensor/fixed_point.h"
#include "tests/gpu/update_cases.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/support/slow_square_sum.h"
#include "tests/unit/server/optim/broken_sums_gpu.h"

namespace drover {
namespace {

constexpr uint64_t kSchedules = 50;
constexpr uint64_t kSchedulesOfUpdates = kSanitized ? 5 : kSchedules;

void ExpectAllSchedulesEqualTheCpu(const UpdateCase& c) {
  emulator::ForEachSeed(kSchedulesOfUpdates, [&](uint64_t seed) {
    EXPECT_EQ(Compare(c), "") << "seed " << seed;
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>()) << "seed " << seed;
  });
}

TEST(UpdateSchedulesTest, FusedUpdatesHaveTheSameBitsInAnyOrder) {
  for (const Rule rule : {Rule::kLamb, Rule::kLars}) {
    UpdateCase c;
    c.settings = FullSettings(rule);
    c.options.fused = true;
    c.options.from_sums = rule == Rule::kLars;
    c.options.multiprocessors = 1;
    c.sizes = {1, 4100};
    c.steps = rule == Rule::kLamb ? 2 : 1;  // The counters of the first one are left zero.

    ExpectAllSchedulesEqualTheCpu(c);
  }
}

TEST(UpdateSchedulesTest, TwoPassesAndClippingHaveTheSameBitsInAnyOrder) {
  for (const Rule rule : {Rule::kLamb, Rule::kAdamW}) {
    UpdateCase c;
    c.settings = FullSettings(rule);
    c.settings.max_grad_norm = 0.5;
    c.options.from_sums = rule == Rule::kAdamW;
    c.sizes = {4100};
    c.steps = 1;

    ExpectAllSchedulesEqualTheCpu(c);
  }
}

TEST(UpdateSchedulesTest, EveryRuleHasTheSameBitsInAnyOrder) {
  for (const RuleInfo& rule : kRules) {
    UpdateCase c;
    c.settings = FullSettings(rule.rule);
    c.options.from_sums = rule.slots % 2 == 0;
    c.sizes = {300};
    c.steps = 1;
    SCOPED_TRACE(rule.name);

    ExpectAllSchedulesEqualTheCpu(c);
  }
}

// Three inputs at once, the second one with an element that must keep it out.
TEST(AccumulateSchedulesTest, SumsAndWhatIsBadAreTheSameInAnyOrder) {
  constexpr uint32_t kCount = 300;
  constexpr double kScale = 0x1p40;
  std::vector<float> floats(kCount), bad_floats(kCount);
  std::vector<int64_t> integers(kCount);
  for (uint32_t i = 0; i < kCount; ++i) {
    const auto words = Philox(/*seed=*/6, /*stream=*/0, i);
    floats[i] = UnitFloat(words[0]) - 0.5f;
    bad_floats[i] = i >= 17 && i % 40 == 17 ? 1e30f : 1.0f;
    integers[i] = static_cast<int32_t>(words[1]);
  }
  std::vector<int64_t> expected = integers;
  FixedPointPassesFor(BestIsa()).add_f32(floats.data(), kCount, kScale, expected.data());

  emulator::ForEachSeed(kSchedules, [&](uint64_t seed) {
    const GpuStream stream = GpuStream::Open(0).value();
    const auto first = DeviceBuffer<float>::Make(0, kCount).value();
    const auto second = DeviceBuffer<float>::Make(0, kCount).value();
    const auto third = DeviceBuffer<int64_t>::Make(0, kCount).value();
    const auto sums = DeviceBuffer<int64_t>::Make(0, kCount).value();
    const auto bad = DeviceBuffer<uint32_t>::Make(0, 3).value();
    const std::vector<AccumulateInput> inputs = {
        {first.data(), GradientEncoding::kF32, 100.0f, 0},
        {second.data(), GradientEncoding::kF32, 100.0f, 0},
        {third.data(), GradientEncoding::kI64, 0.0f, int64_t{1} << 40}};
    std::vector<int64_t> got(kCount);
    std::vector<uint32_t> got_bad(3);

    ASSERT_TRUE(CopyToDevice<float>(stream, floats, first.data()).ok());
    ASSERT_TRUE(CopyToDevice<float>(stream, bad_floats, second.data()).ok());
    ASSERT_TRUE(CopyToDevice<int64_t>(stream, integers, third.data()).ok());
    ASSERT_TRUE(
        AccumulateOnGpu(inputs, kCount, /*store=*/true, kScale, sums.data(), bad.data(), stream)
            .ok());
    ASSERT_TRUE(CopyToHost<int64_t>(stream, sums.data(), got).ok());
    ASSERT_TRUE(CopyToHost<uint32_t>(stream, bad.data(), got_bad).ok());
    ASSERT_TRUE(stream.Wait().ok()) << "seed " << seed;

    EXPECT_EQ(got, expected) << "seed " << seed;
    EXPECT_EQ(got_bad, (std::vector<uint32_t>{kNoBadElement, 17, kNoBadElement}));
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>()) << "seed " << seed;
  });
}

// Every sum that SumSquaresOnGpu gives, and whether the emulator complained of it.
struct Outcomes {
  std::set<double> sums;
  int complaints = 0;
};

Outcomes SumsOf(Mistake mistake, const std::vector<float>& values) {
  const auto strips = static_cast<uint32_t>(values.size() / 4096);
  Outcomes outcomes;
  emulator::ForEachSeed(kSchedules, [&](uint64_t) {
    const GpuStream stream = GpuStream::Open(0).value();
    const auto device = DeviceBuffer<float>::Make(0, values.size()).value();
    const auto scratch = DeviceBuffer<double>::Make(0, strips).value();
    const auto arrived = DeviceBuffer<uint32_t>::Make(0, 2).value();
    const auto sum = DeviceBuffer<double>::Make(0, 1).value();
    std::vector<double> result(1);
    Status status = CopyToDevice<float>(stream, values, device.data());
    if (status.ok()) {
      status = SumSquaresOnGpu(mistake, device.data(), strips, scratch.data(), arrived.data(),
                               sum.data(), stream);
    }
    if (status.ok()) status = CopyToHost<double>(stream, sum.data(), result);
    if (status.ok()) status = stream.Wait();
    if (!emulator::TakeErrors().empty() || !status.ok()) {
      ++outcomes.complaints;
    } else {
      outcomes.sums.insert(result[0]);
    }
  });
  return outcomes;
}

std::vector<float> Values() {
  std::vector<float> values(5 * 4096);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto words = Philox(/*seed=*/4, /*stream=*/0, i);
    values[i] = UnitFloat(words[0]) * static_cast<float>(1u << words[1] % 20);
  }
  return values;
}

TEST(BrokenSumsTest, TheRightKernelGivesOneSumAndNoComplaint) {
  const std::vector<float> values = Values();

  const Outcomes outcomes = SumsOf(Mistake::kNone, values);

  EXPECT_EQ(outcomes.complaints, 0);
  EXPECT_EQ(outcomes.sums, std::set<double>{SlowSquareSum(values)});
}

TEST(BrokenSumsTest, AMissingBarrierIsNoticed) {
  const std::vector<float> values = Values();

  const Outcomes outcomes = SumsOf(Mistake::kNoBarrier, values);

  EXPECT_TRUE(outcomes.complaints > 0 || outcomes.sums.size() > 1);
}

TEST(BrokenSumsTest, PartialsInTheOrderOfArrivalAreNoticed) {
  const std::vector<float> values = Values();

  const Outcomes outcomes = SumsOf(Mistake::kArrivalOrder, values);

  EXPECT_GT(outcomes.sums.size(), 1u);
}

}  // namespace
}  // namespace drover
