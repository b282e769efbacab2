#include "common/base/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace drover {
namespace {

TEST(CpuFeaturesTest, GenericRunsEverywhereAndTheBestIsTheLast) {
  const std::vector<Isa> isas = RunnableIsas();

  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kGeneric);
  EXPECT_EQ(isas.back(), BestIsa());
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
}

TEST(CpuFeaturesTest, EveryInstructionSetHasTheNameOfItsBuild) {
  EXPECT_STREQ(IsaName(Isa::kGeneric), "generic");
  EXPECT_STREQ(IsaName(Isa::kAvx2), "avx2");
  EXPECT_STREQ(IsaName(Isa::kAvx512), "avx512");
}

}  // namespace
}  // namespace drover
