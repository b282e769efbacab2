#include "server/optim/update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/base/philox.h"
#include "server/optim/step_scalars.h"
#include "tests/support/slow_square_sum.h"
#include "tests/unit/server/optim/rule_formulas.h"

namespace drover {
namespace {

constexpr std::array<size_t, 17> kSizes = {0,    1,    3,    15,   16,   17,    511,   512,  513,
                                           1023, 1024, 1025, 4095, 4097, 65535, 65536, 65537};
constexpr float kScale = 0.01f;

// What an array holds beyond its block: a pass must not touch it.
constexpr float kGuard = 12345.0f;

std::vector<uint32_t> BitsOf(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// Values of all magnitudes from denormals to 2^20, with zeros of both signs.
std::vector<float> WildValues(size_t size, uint64_t stream, bool may_be_negative) {
  std::vector<float> values;
  for (size_t i = 0; i < size; ++i) {
    const std::array<uint32_t, 4> words = Philox(/*seed=*/17, stream, i);
    float value = std::ldexp(UnitFloat(words[0]), static_cast<int>(words[1] % 168) - 148);
    if (words[2] % 16 == 0) value = 0.0f;
    if (may_be_negative && words[3] % 2 == 0) value = -value;
    values.push_back(value);
  }
  return values;
}

// Roots are taken of this state, so it is never negative.
bool FirstSlotHoldsSquares(Rule rule) {
  return rule == Rule::kAdagrad ||
         (rule >= Rule::kRmsProp && rule <= Rule::kRmsPropCenteredMomentum);
}

// The arrays of one block, `offset` floats into their allocations and guarded at the end.
struct Arrays {
  Arrays(Rule rule, size_t block_size, size_t block_offset)
      : size(block_size), offset(block_offset) {
    const auto place = [&](uint64_t stream, bool may_be_negative) {
      std::vector<float> array(offset, kGuard);
      const std::vector<float> values = WildValues(size, stream, may_be_negative);
      array.insert(array.end(), values.begin(), values.end());
      array.push_back(kGuard);
      return array;
    };
    weight = place(1, true);
    gradient = place(2, true);
    slots = {place(3, !FirstSlotHoldsSquares(rule)), place(4, false), place(5, false)};
    next_weight.assign(offset + size + 1, kGuard);
  }

  BlockView Block(size_t begin, size_t count) {
    const size_t at = offset + begin;
    return {count,
            weight.data() + at,
            gradient.data() + at,
            {slots[0].data() + at, slots[1].data() + at, slots[2].data() + at},
            next_weight.data() + at};
  }
  BlockView Whole() { return Block(0, size); }

  size_t size;
  size_t offset;
  std::vector<float> weight, gradient, next_weight;
  std::array<std::vector<float>, kSlotsMax> slots;
};

// Every term of every rule at once: L2, decay in the update and before it, and clipping.
StepScalars ScalarsOf(Rule rule) {
  OptimizerSettings settings = DefaultSettings(rule);
  settings.weight_decay = 0.125;
  return ComputeStepScalars(settings, {true, true}, /*update=*/3, /*learning_rate=*/0.5,
                            /*clip_factor=*/0.375);
}

Element ElementAt(const Arrays& arrays, const StepScalars& s, size_t i) {
  const size_t at = arrays.offset + i;
  return {arrays.weight[at], arrays.gradient[at] * s.clip, arrays.slots[0][at], arrays.slots[1][at],
          arrays.slots[2][at]};
}

std::vector<Rule> AllRules() {
  std::vector<Rule> rules;
  for (const RuleInfo& info : kRules) rules.push_back(info.rule);
  return rules;
}

class UpdateTest : public testing::TestWithParam<Rule> {};

TEST_P(UpdateTest, ApplyIsTheFormulaOneWeightAtATime) {
  const StepScalars s = ScalarsOf(GetParam());
  const StepScalars scaled = RuleFormulasOf(GetParam()).with_scale(s, kScale);
  const auto slots = static_cast<size_t>(InfoOf(GetParam()).slots);
  const RuleFormulas formulas = RuleFormulasOf(GetParam());
  for (const size_t size : kSizes) {
    for (const size_t offset : {size_t{0}, size_t{1}}) {
      const Arrays before(GetParam(), size, offset);
      Arrays want = before;
      for (size_t i = 0; i < size; ++i) {
        Element e = ElementAt(want, scaled, i);
        const float u = formulas.direction(scaled, e);
        want.next_weight[offset + i] = e.w - formulas.step_factor(kScale) * u;
        if (slots > 0) want.slots[0][offset + i] = e.slot0;
        if (slots > 1) want.slots[1][offset + i] = e.slot1;
        if (slots > 2) want.slots[2][offset + i] = e.slot2;
      }
      for (const Isa isa : RunnableIsas()) {
        Arrays arrays = before;

        CpuPassesFor(GetParam(), isa).apply(s, arrays.Whole(), kScale);

        ASSERT_EQ(BitsOf(arrays.next_weight), BitsOf(want.next_weight)) << IsaName(isa) << size;
        ASSERT_EQ(arrays.weight, want.weight);
        ASSERT_EQ(arrays.gradient, want.gradient);
        for (size_t slot = 0; slot < kSlotsMax; ++slot) {
          ASSERT_EQ(BitsOf(arrays.slots[slot]), BitsOf(want.slots[slot])) << IsaName(isa) << size;
        }
      }
    }
  }
}

TEST_P(UpdateTest, MeasureAddsSquaresInFixedLanesAndWritesNothing) {
  const StepScalars s = ScalarsOf(GetParam());
  const RuleFormulas formulas = RuleFormulasOf(GetParam());
  for (const size_t size : kSizes) {
    Arrays arrays(GetParam(), size, /*block_offset=*/3);
    const Arrays before = arrays;
    std::vector<float> weights;
    std::vector<float> directions;
    for (size_t i = 0; i < size; ++i) {
      Element e = ElementAt(arrays, s, i);
      directions.push_back(formulas.measured(s, e));
      weights.push_back(e.w);
    }
    const double weight = SlowSquareSum(weights);
    const double direction = SlowSquareSum(directions);
    for (const Isa isa : RunnableIsas()) {
      const BlockNorms norms = CpuPassesFor(GetParam(), isa).measure(s, arrays.Whole());
      const BlockNorms again = CpuPassesFor(GetParam(), isa).measure(s, arrays.Whole());

      ASSERT_EQ(norms.weight, weight) << IsaName(isa) << size;
      ASSERT_EQ(norms.direction, direction) << IsaName(isa) << size;
      ASSERT_EQ(again.weight, weight);
      ASSERT_EQ(again.direction, direction);
      ASSERT_EQ(arrays.next_weight, before.next_weight);
      for (size_t slot = 0; slot < kSlotsMax; ++slot) {
        ASSERT_EQ(BitsOf(arrays.slots[slot]), BitsOf(before.slots[slot]));
      }
    }
  }
}

TEST_P(UpdateTest, ApplyMayBeCutAnywhere) {
  const StepScalars s = ScalarsOf(GetParam());
  const CpuPasses passes = CpuPassesFor(GetParam());
  Arrays whole(GetParam(), 2000, /*block_offset=*/0);
  Arrays cut = whole;

  passes.apply(s, whole.Whole(), kScale);
  size_t begin = 0;
  for (const size_t count : {size_t{1}, size_t{16}, size_t{513}, size_t{700}, size_t{770}}) {
    passes.apply(s, cut.Block(begin, count), kScale);
    begin += count;
  }

  ASSERT_EQ(begin, whole.size);
  EXPECT_EQ(BitsOf(cut.next_weight), BitsOf(whole.next_weight));
  EXPECT_EQ(BitsOf(cut.slots[0]), BitsOf(whole.slots[0]));
  EXPECT_EQ(BitsOf(cut.slots[1]), BitsOf(whole.slots[1]));
  EXPECT_EQ(BitsOf(cut.slots[2]), BitsOf(whole.slots[2]));
}

INSTANTIATE_TEST_SUITE_P(AllRules, UpdateTest, testing::ValuesIn(AllRules()),
                         [](const testing::TestParamInfo<Rule>& rule) {
                           return std::string(InfoOf(rule.param).name);
                         });

// r g of the tensor enters the momentum and stays there, whatever the ratio is later.
TEST(UpdateLarsTest, TheRatioScalesWhatEntersTheMomentum) {
  OptimizerSettings settings = DefaultSettings(Rule::kLars);
  settings.momentum = 0.5;
  settings.weight_decay = 0.25;
  std::vector<float> weight = {4.0f}, gradient = {3.0f}, b = {0.0f}, next = {0.0f};
  const BlockView block{
      1, weight.data(), gradient.data(), {b.data(), nullptr, nullptr}, next.data()};
  const CpuPasses passes = CpuPassesFor(Rule::kLars);
  const auto scalars = [&](int64_t update) {
    return ComputeStepScalars(settings, {true, true}, update, /*learning_rate=*/2.0, 1.0);
  };

  EXPECT_EQ(passes.measure(scalars(1), block).direction, 9.0) << "of g, without decay and ratio";
  passes.apply(scalars(1), block, /*scale=*/0.5f);
  EXPECT_EQ(b[0], 2.0f);     // 0.5 (3 + 0.25 * 4)
  EXPECT_EQ(next[0], 0.0f);  // 4 - 2 * 2
  passes.apply(scalars(2), block, /*scale=*/0.125f);
  EXPECT_EQ(b[0], 1.5f);     // 0.5 * 2 + 0.125 * 4
  EXPECT_EQ(next[0], 1.0f);  // 4 - 2 * 1.5

  settings.nesterov = true;
  b[0] = 2.0f;
  passes.apply(scalars(2), block, /*scale=*/0.125f);
  EXPECT_EQ(b[0], 1.5f);
  EXPECT_EQ(next[0], 1.5f);  // 4 - 2 * (0.5 + 0.5 * 1.5)
}

TEST(UpdateNormsTest, DecayBeforeIsInTheWeightNorm) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.decay_mode = DecayMode::kDecoupledBefore;
  settings.weight_decay = 0.5;
  const StepScalars s = ComputeStepScalars(settings, {true, true}, 1, /*learning_rate=*/1.0, 1.0);
  std::vector<float> weight = {4.0f, -2.0f}, gradient = {1.0f, 1.0f}, m = {0, 0}, v = {0, 0};
  const BlockView block{2, weight.data(), gradient.data(), {m.data(), v.data(), nullptr}, nullptr};

  // The weights are halved first: 2^2 + 1^2.
  EXPECT_EQ(CpuPassesFor(Rule::kLamb).measure(s, block).weight, 5.0);
}

// A float32 running sum of 4 Mi squares is off by 2e-3; lanes in float64 are not.
TEST(UpdateNormsTest, AreExactForSquaresThatAddUpExactly) {
  const size_t size = 65536;
  std::vector<float> weight(size, 3.0f), gradient(size, 0.0009765625f);
  StepScalars s{};
  s.clip = 1.0f;
  const BlockView block{size, weight.data(), gradient.data(), {}, nullptr};

  for (const Isa isa : RunnableIsas()) {
    const BlockNorms norms = CpuPassesFor(Rule::kSgd, isa).measure(s, block);
    EXPECT_EQ(norms.weight, 9.0 * 65536);
    EXPECT_EQ(norms.direction, 65536.0 / (1024.0 * 1024.0));
  }
}

}  // namespace
}  // namespace drover
