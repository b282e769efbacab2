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

class UpdateGpuLargeTest : public testing::TestWithParam<std::tuple<size_t, bool>> {};

INSTANTIATE_TEST_SUITE_P(AllRules, UpdateGpuLargeTest,
                         testing::Combine(testing::Range(size_t{0}, kRules.size()),
                                          testing::Bool()),
                         [](const testing::TestParamInfo<std::tuple<size_t, bool>>& parameter) {
                           return std::string(kRules[std::get<0>(parameter.param)].name) +
                                  (std::get<1>(parameter.param) ? "_from_sums" : "_from_gradient");
                         });

UpdateCase CaseOf(const std::tuple<size_t, bool>& parameter) {
  UpdateCase c;
  c.settings = FullSettings(kRules[std::get<0>(parameter)].rule);
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

TEST_P(UpdateGpuLargeTest, SoHasTheFusedUpdate) {
  DROVER_REQUIRE_GPU();
  UpdateCase c = CaseOf(GetParam());
  if (!InfoOf(c.settings.rule).trust_ratio) GTEST_SKIP() << "no trust ratio";
  c.options.fused = true;
  c.options.multiprocessors = static_cast<uint32_t>(ListGpus().value().front().multiprocessors);
  c.sizes = {31 * kMi, 1000, 65535, 65536, 65537, 1, kMi, kMi, kMi + 1, 4 * kMi, 3, 15, kMi};

  EXPECT_EQ(Compare(c), "");
}

}  // namespace
}  // namespace drover
