#include "common/base/check.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(CheckTest, KeptPromiseDoesNothing) { DROVER_CHECK(1 + 1 == 2); }

TEST(CheckDeathTest, BrokenPromiseIsPrintedAndAborts) {
  EXPECT_DEATH(DROVER_CHECK(1 + 1 == 3), "check_test.cc:[0-9]+: broken promise: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace drover
