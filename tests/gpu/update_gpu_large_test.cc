// Updates of large tensors on a GPU have the bits of the CPU passes: all rules, both sources of the
// gradient, ten updates. Minutes of CPU time, so only on a real GPU.

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/gpu/require_gpu.h"
#include "tests/gpu/update_cases.h"

namespace drover {
namespace {

constexpr size_t kMi = 1 << 20;

// A rule, and whether its gradient is read from sums.
using Parameter = std::tuple<Rule, bool>;
class UpdateGpuLargeTest : public testing::TestWithParam<Parameter> {};
class FusedUpdateLargeTest : public testing::TestWithParam<Parameter> {};

std::vector<Rule> AllRules() {
  std::vector<Rule> rules;
  for (const RuleInfo& info : kRules) rules.push_back(info.rule);
  return rules;
}

std::string NameOf(const testing::TestParamInfo<Parameter>& parameter) {
  return std::string(InfoOf(std::get<0>(parameter.param)).name) +
         (std::get<1>(parameter.param) ? "_from_sums" : "_from_gradient");
}

INSTANTIATE_TEST_SUITE_P(AllRules, UpdateGpuLargeTest,
                         testing::Combine(testing::ValuesIn(AllRules()), testing::Bool()), NameOf);
INSTANTIATE_TEST_SUITE_P(TrustRatioRules, FusedUpdateLargeTest,
                         testing::Combine(testing::Values(Rule::kLamb, Rule::kLars),
                                          testing::Bool()),
                         NameOf);

UpdateCase CaseOf(const Parameter& parameter) {
  UpdateCase c;
  c.settings = FullSettings(std::get<0>(parameter));
  c.options.from_sums = std::get<1>(parameter);
  c.options.publish = true;
  return c;
}

TEST_P(UpdateGpuLargeTest, TenUpdatesOfEverySizeHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  UpdateCase c = CaseOf(GetParam());
  c.sizes = {1, 3, 15, 65535, 65536, 65537, kMi + 1};

  EXPECT_EQ(Compare(c), "");
}

TEST_P(UpdateGpuLargeTest, SoHasATensorOf31Mi) {
  DROVER_REQUIRE_GPU();
  UpdateCase c = CaseOf(GetParam());
  c.settings.max_grad_norm = 1.0;
  c.sizes = {31 * kMi};

  EXPECT_EQ(Compare(c), "");
}

TEST_P(FusedUpdateLargeTest, TenUpdatesOfManyWavesHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  UpdateCase c = CaseOf(GetParam());
  c.options.fused = true;
  c.options.multiprocessors = static_cast<uint32_t>(ListGpus().value().front().multiprocessors);
  c.sizes = {31 * kMi, 1000, 65535, 65536, 65537, 1, kMi, kMi, kMi + 1, 4 * kMi, 3, 15, kMi};

  EXPECT_EQ(Compare(c), "");
}

}  // namespace
}  // namespace drover
