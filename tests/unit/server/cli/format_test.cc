#include "server/cli/format.h"

#include <gtest/gtest.h>

#include <limits>

#include "proto/drover/v1/job.pb.h"

namespace drover {
namespace {

TEST(FormatTest, CompactHasThreeDigits) {
  EXPECT_EQ(FormatCompact(0), "0");
  EXPECT_EQ(FormatCompact(0.8234), "0.823");
  EXPECT_EQ(FormatCompact(912), "912");
  EXPECT_EQ(FormatCompact(999.4), "999");
  EXPECT_EQ(FormatCompact(999.6), "1.00k");
  EXPECT_EQ(FormatCompact(91'312), "91.3k");
  EXPECT_EQ(FormatCompact(999'400), "999k");
  EXPECT_EQ(FormatCompact(1'204'000), "1.20M");
  EXPECT_EQ(FormatCompact(-2.5e9), "-2.50G");
  EXPECT_EQ(FormatCompact(std::numeric_limits<double>::infinity()), "inf");
}

TEST(FormatTest, ThousandsHaveCommas) {
  EXPECT_EQ(FormatThousands(0), "0");
  EXPECT_EQ(FormatThousands(999), "999");
  EXPECT_EQ(FormatThousands(2'392'064), "2,392,064");
  EXPECT_EQ(FormatThousands(-1000), "-1,000");
}

TEST(FormatTest, BytesHaveBinaryUnits) {
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(4 << 20), "4.0 MiB");
  EXPECT_EQ(FormatBytes(int64_t{5} << 40), "5.0 TiB");
}

TEST(FormatTest, ClockCountsMinutesAndHours) {
  EXPECT_EQ(FormatClock(0), "0:00");
  EXPECT_EQ(FormatClock(40.6), "0:41");
  EXPECT_EQ(FormatClock(725), "12:05");
  EXPECT_EQ(FormatClock(3723), "1:02:03");
  EXPECT_EQ(FormatClock(-1), "-:--");
  EXPECT_EQ(FormatClock(std::numeric_limits<double>::quiet_NaN()), "-:--");
}

TEST(FormatTest, AgeIsOneNumber) {
  EXPECT_EQ(FormatAge(12), "12 s");
  EXPECT_EQ(FormatAge(180), "3 min");
  EXPECT_EQ(FormatAge(7200), "2 h");
  EXPECT_EQ(FormatAge(5 * 86400), "5 d");
  EXPECT_EQ(FormatAge(-3), "0 s");  // Clocks of two machines.
}

TEST(FormatTest, FractionShowsMoreNearOne) {
  EXPECT_EQ(FormatFraction(0.947), "0.947");
  EXPECT_EQ(FormatFraction(0.99714), "0.9971");
  EXPECT_EQ(FormatFraction(1), "1.000");
}

TEST(FormatTest, TimeIsUtc) {
  EXPECT_EQ(FormatTime(0), "-");
  EXPECT_EQ(FormatTime(1'000'000'000'123), "2001-09-09 01:46:40 UTC");  // `date -u -d @1e9`.
}

TEST(FormatTest, StateHasNoPrefix) {
  EXPECT_EQ(StateName(v1::JOB_STATE_RUNNING), "RUNNING");
  EXPECT_EQ(StateName(77), "77");
}

TEST(FormatTest, ShortenEndsInDots) {
  EXPECT_EQ(Shorten("digits", 6), "digits");
  EXPECT_EQ(Shorten("digits", 5), "dig..");
  EXPECT_EQ(Shorten("digits", 1), "d");
}

}  // namespace
}  // namespace drover
