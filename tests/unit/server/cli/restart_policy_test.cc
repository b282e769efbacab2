#include "server/cli/restart_policy.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant At(Duration time) { return {time}; }

TEST(RestartPolicyTest, WaitsTwiceAsLongEachTimeAndThenGivesUp) {
  RestartPolicy policy;
  EXPECT_EQ(policy.OnDeath(At(seconds(1))), milliseconds(100));
  EXPECT_EQ(policy.OnDeath(At(seconds(2))), milliseconds(200));
  EXPECT_EQ(policy.OnDeath(At(seconds(3))), milliseconds(400));
  EXPECT_EQ(policy.OnDeath(At(seconds(4))), milliseconds(800));
  EXPECT_EQ(policy.OnDeath(At(seconds(31))), std::nullopt);
}

TEST(RestartPolicyTest, ForgetsDeathsOfLongAgo) {
  RestartPolicy policy;
  for (int minute = 0; minute < 100; ++minute) {
    EXPECT_EQ(policy.OnDeath(At(std::chrono::minutes(minute))), milliseconds(100));
  }
}

}  // namespace
}  // namespace drover
