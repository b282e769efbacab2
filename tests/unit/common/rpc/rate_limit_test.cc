#include "common/rpc/rate_limit.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace drover {
namespace {

constexpr RateLimit::Rate kRate = {2.0, 5.0};

Instant At(int64_t ms) { return {std::chrono::milliseconds(ms)}; }

int Allowed(RateLimit* limit, const std::string& key, Instant now) {
  int count = 0;
  while (count < 100 && limit->Allow(key, kRate, now)) ++count;
  return count;
}

TEST(RateLimitTest, ABurstIsAllowedThenTheRate) {
  RateLimit limit;
  EXPECT_EQ(Allowed(&limit, "ann", At(0)), 5);
  EXPECT_EQ(Allowed(&limit, "ann", At(499)), 0);
  EXPECT_EQ(Allowed(&limit, "ann", At(500)), 1);
  EXPECT_EQ(Allowed(&limit, "ann", At(2000)), 3);
  EXPECT_EQ(Allowed(&limit, "ann", At(1'000'000)), 5) << "nothing is saved beyond the burst";
}

TEST(RateLimitTest, OneFloodsAndTheOtherDoesNotNotice) {
  RateLimit limit;
  EXPECT_EQ(Allowed(&limit, "ann", At(0)), 5);
  EXPECT_EQ(Allowed(&limit, "bob", At(0)), 5);
}

TEST(RateLimitTest, ManyKeysCostBoundedMemoryAndComeBackWhenTheyAreQuiet) {
  RateLimit limit;
  for (size_t i = 0; i < RateLimit::kKeysMax; ++i) {
    ASSERT_TRUE(limit.Allow(std::to_string(i), kRate, At(0)));
  }
  EXPECT_FALSE(limit.Allow("one more", kRate, At(0)));
  EXPECT_TRUE(limit.Allow("1", kRate, At(0))) << "who was there is served";
  EXPECT_TRUE(limit.Allow("one more", kRate, At(1001)));
}

}  // namespace
}  // namespace drover
