// Updates of every rule on a GPU have the bits of the CPU passes. On the emulator
// (tests/unit/server/optim) and on a real GPU.

#include "server/optim/update_gpu.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/gpu/require_gpu.h"
#include "tests/gpu/update_cases.h"

namespace drover {
namespace {

// More and larger ones: update_gpu_large_test.cc.
const std::vector<size_t> kSizes = {1, 3, 15, 1023, 1025, 4097};
const std::vector<size_t> kSmallSizes = {1, 15, 4097};

class UpdateGpuTest : public testing::TestWithParam<std::tuple<Rule, bool>> {
 protected:
  Rule rule() const { return std::get<0>(GetParam()); }
  bool from_sums() const { return std::get<1>(GetParam()); }
};

std::vector<Rule> AllRules() {
  std::vector<Rule> rules;
  for (const RuleInfo& info : kRules) rules.push_back(info.rule);
  return rules;
}

INSTANTIATE_TEST_SUITE_P(AllRules, UpdateGpuTest,
                         testing::Combine(testing::ValuesIn(AllRules()), testing::Bool()),
                         [](const testing::TestParamInfo<std::tuple<Rule, bool>>& parameter) {
                           return std::string(InfoOf(std::get<0>(parameter.param)).name) +
                                  (std::get<1>(parameter.param) ? "_from_sums" : "_from_gradient");
                         });

TEST_P(UpdateGpuTest, TenUpdatesHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  UpdateCase c;
  c.settings = FullSettings(rule());
  c.options.from_sums = from_sums();
  c.sizes = kSizes;

  EXPECT_EQ(Compare(c), "");
}

TEST_P(UpdateGpuTest, SoHaveClippingLookaheadAndThePublishedCopy) {
  DROVER_REQUIRE_GPU();
  UpdateCase c;
  c.settings = FullSettings(rule());
  c.settings.max_grad_norm = 1.0;
  c.settings.lookahead_every = 3;
  c.settings.lookahead_alpha = 0.25;
  c.options.from_sums = from_sums();
  c.options.in_place = true;
  c.options.publish = true;
  c.sizes = kSmallSizes;
  c.steps = 4;

  EXPECT_EQ(Compare(c), "");
}

TEST(UpdateGpuSizesTest, ABlockAndOneMoreOrLessHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  for (const Rule rule : {Rule::kAdamW, Rule::kLamb}) {
    UpdateCase c;
    c.settings = FullSettings(rule);
    c.sizes = {65535, 65536, 65537};
    c.steps = 1;

    EXPECT_EQ(Compare(c), "") << InfoOf(rule).name;
  }
}

class FusedUpdateTest : public UpdateGpuTest {};

INSTANTIATE_TEST_SUITE_P(TrustRatioRules, FusedUpdateTest,
                         testing::Combine(testing::Values(Rule::kLamb, Rule::kLars),
                                          testing::Bool()),
                         [](const testing::TestParamInfo<std::tuple<Rule, bool>>& parameter) {
                           return std::string(InfoOf(std::get<0>(parameter.param)).name) +
                                  (std::get<1>(parameter.param) ? "_from_sums" : "_from_gradient");
                         });

TEST_P(FusedUpdateTest, TenUpdatesHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  UpdateCase c;
  c.settings = FullSettings(rule());
  c.options.from_sums = from_sums();
  c.options.fused = true;
  c.sizes = kSizes;

  EXPECT_EQ(Compare(c), "");
}

TEST_P(FusedUpdateTest, SoHaveWavesOfEverySizeInPlaceAndWithLookahead) {
  DROVER_REQUIRE_GPU();
  for (const uint32_t multiprocessors : {1, 200}) {
    UpdateCase c;
    c.settings = FullSettings(rule());
    c.settings.max_grad_norm = 0.5;
    c.settings.lookahead_every = 2;
    c.options.from_sums = from_sums();
    c.options.fused = true;
    c.options.in_place = true;
    c.options.publish = true;
    c.options.multiprocessors = multiprocessors;
    c.sizes = {5, 4096, 9000, 1, 4097};
    c.steps = 2;

    EXPECT_EQ(Compare(c), "") << multiprocessors << " multiprocessors";
  }
}

// What LAMB may be told: each dialect has its own way through the formulas.
TEST(FusedLambTest, HasTheBitsOfTheCpuInEveryDialect) {
  DROVER_REQUIRE_GPU();
  for (const char* preset : {"tfa", "apex", "nvlamb", "nvlamb_picture", "paper_v3", "ymcui",
                             "cybertron", "deepspeed", "lambc"}) {
    for (const DecayMode mode :
         {DecayMode::kInUpdate, DecayMode::kL2, DecayMode::kDecoupledBefore}) {
      UpdateCase c;
      c.settings = LambPreset(preset).value();
      c.settings.decay_mode = mode;
      c.settings.weight_decay = 0.125;
      c.options.fused = true;
      c.sizes = {300, 5, 700};
      c.steps = 2;

      EXPECT_EQ(Compare(c), "") << preset;
    }
  }
}

}  // namespace
}  // namespace drover
