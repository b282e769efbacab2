#include "common/base/clock.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

using std::chrono::milliseconds;

TEST(ClockTest, RealTimeNeverRunsBackwards) {
  const Instant first = Clock::Real().Now();
  const Instant second = Clock::Real().Now();

  EXPECT_LE(first, second);
}

TEST(ClockTest, UnixTimeIsInThisMillennium) {
  // 2001-01-01T00:00:00Z and 3001-01-01T00:00:00Z in milliseconds, from `date -u +%s`.
  EXPECT_GT(Clock::Real().UnixMilliseconds(), 978'307'200'000);
  EXPECT_LT(Clock::Real().UnixMilliseconds(), 32'535'216'000'000);
}

TEST(ClockTest, InstantsAndDurationsAddUp) {
  const Instant start{milliseconds(100)};

  const Instant deadline = start + milliseconds(250);

  EXPECT_LT(start, deadline);
  EXPECT_EQ(deadline - start, milliseconds(250));
  EXPECT_EQ(Seconds(deadline - start), 0.25);
}

TEST(ClockTest, SleepLastsAtLeastAsLongAsAsked) {
  const Instant start = Clock::Real().Now();

  SleepFor(milliseconds(1));

  EXPECT_GE(Clock::Real().Now() - start, milliseconds(1));
}

}  // namespace
}  // namespace drover
