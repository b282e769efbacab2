#include "common/base/parse.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace drover {
namespace {

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

template <typename T>
std::string Refusal(const Result<T>& result) {
  if (result.ok()) return "accepted";
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  return result.status().message();
}

TEST(ParseIntTest, ReadsIntegersAndBinarySuffixes) {
  EXPECT_EQ(ParseInt("0").value(), 0);
  EXPECT_EQ(ParseInt("32768").value(), 32768);
  EXPECT_EQ(ParseInt("-3").value(), -3);
  EXPECT_EQ(ParseInt("32Ki").value(), 32768);
  EXPECT_EQ(ParseInt("1Mi").value(), 1048576);
  EXPECT_EQ(ParseInt("2Gi").value(), 2147483648);
  EXPECT_EQ(ParseInt("9223372036854775807").value(), kInt64Max);
  EXPECT_EQ(ParseInt("-9223372036854775808").value(), kInt64Min);
}

TEST(ParseIntTest, RefusesAmbiguousSuffixWithBothReadings) {
  EXPECT_EQ(Refusal(ParseInt("32k")),
            "\"32k\": expected an integer such as 32768 or 32Ki: 32,000 or 32,768 (32Ki)?");
  EXPECT_EQ(Refusal(ParseInt("1M")),
            "\"1M\": expected an integer such as 32768 or 32Ki: 1,000,000 or 1,048,576 (1Mi)?");
  EXPECT_EQ(Refusal(ParseInt("-2G")),
            "\"-2G\": expected an integer such as 32768 or 32Ki: -2,000,000,000 or -2,147,483,648 "
            "(-2Gi)?");
}

TEST(ParseIntTest, RefusesEverythingElse) {
  const std::string expected = ": expected an integer such as 32768 or 32Ki";
  for (const char* text : {"", " ", " 1", "1 ", "+1", "-", "--1", "0x10", "1.0", "1e3", "1_000",
                           "1,000", "Ki", "1ki", "1KiB", "one", "9223372036854775807k"}) {
    EXPECT_EQ(Refusal(ParseInt(text)), "\"" + std::string(text) + "\"" + expected) << text;
  }
}

TEST(ParseIntTest, RefusesWhatDoesNotFit) {
  for (const char* text :
       {"9223372036854775808", "-9223372036854775809", "9007199254740992Ki", "8589934592Gi"}) {
    EXPECT_NE(Refusal(ParseInt(text)).find("that fits in 64 bits"), std::string::npos) << text;
  }
}

TEST(ParseIntTest, QuotesHostileTextHarmlessly) {
  EXPECT_EQ(Refusal(ParseInt(std::string_view("1\n\0x", 4))),
            "\"1\\x0a\\x00x\": expected an integer such as 32768 or 32Ki");
  EXPECT_LT(Refusal(ParseInt(std::string(100'000, 'a'))).size(), 300u);
}

TEST(ParseBytesTest, ReadsBytesAndBinaryUnits) {
  EXPECT_EQ(ParseBytes("512").value(), 512);
  EXPECT_EQ(ParseBytes("512B").value(), 512);
  EXPECT_EQ(ParseBytes("64KiB").value(), 65536);
  EXPECT_EQ(ParseBytes("4MiB").value(), 4194304);
  EXPECT_EQ(ParseBytes("3GiB").value(), 3221225472);
  EXPECT_EQ(ParseBytes("1TiB").value(), 1099511627776);
}

TEST(ParseBytesTest, RefusesDecimalUnitsWithBothReadings) {
  EXPECT_EQ(Refusal(ParseBytes("4MB")),
            "\"4MB\": expected a size in bytes such as 512, 64KiB or 4MiB: 4,000,000 or 4,194,304 "
            "(4MiB)?");
  EXPECT_EQ(Refusal(ParseBytes("64k")),
            "\"64k\": expected a size in bytes such as 512, 64KiB or 4MiB: 64,000 or 65,536 "
            "(64KiB)?");
}

TEST(ParseBytesTest, RefusesNegativeOverflowingAndUnknown) {
  EXPECT_NE(Refusal(ParseBytes("-1")).find("not negative"), std::string::npos);
  EXPECT_NE(Refusal(ParseBytes("-4KiB")).find("not negative"), std::string::npos);
  EXPECT_NE(Refusal(ParseBytes("8388608TiB")).find("fits in 64 bits"), std::string::npos);
  for (const char* text : {"", "MiB", "4Mi", "4mib", "4 MiB", "1.5MiB"}) {
    EXPECT_NE(Refusal(ParseBytes(text)), "accepted") << text;
  }
}

TEST(ParseMillisecondsTest, ReadsEveryUnit) {
  EXPECT_EQ(ParseMilliseconds("250ms").value(), 250);
  EXPECT_EQ(ParseMilliseconds("90s").value(), 90'000);
  EXPECT_EQ(ParseMilliseconds("10m").value(), 600'000);
  EXPECT_EQ(ParseMilliseconds("2h").value(), 7'200'000);
  EXPECT_EQ(ParseMilliseconds("0s").value(), 0);
}

TEST(ParseMillisecondsTest, AsksForTheMissingUnit) {
  EXPECT_EQ(Refusal(ParseMilliseconds("30")),
            "\"30\": expected a time such as 250ms, 90s, 10m or 2h: 30s or 30ms?");
}

TEST(ParseMillisecondsTest, RefusesNegativeOverflowingAndUnknown) {
  EXPECT_NE(Refusal(ParseMilliseconds("-5s")).find("not negative"), std::string::npos);
  for (const char* text : {"", "s", "5 s", "1.5s", "5S", "3d", "9223372036854775807h"}) {
    EXPECT_NE(Refusal(ParseMilliseconds(text)), "accepted") << text;
  }
}

TEST(ParseFloatTest, ReadsTheNearestDouble) {
  EXPECT_EQ(ParseFloat("1e-3").value(), 1e-3);
  EXPECT_EQ(ParseFloat(".5").value(), 0.5);
  EXPECT_EQ(ParseFloat("-2").value(), -2.0);
  EXPECT_EQ(ParseFloat("0.1").value(), 0.1);
  EXPECT_EQ(ParseFloat("1.7976931348623157e308").value(), std::numeric_limits<double>::max());
}

TEST(ParseFloatTest, RefusesWhatIsNotAFiniteDecimalNumber) {
  for (const char* text : {"", "nan", "inf", "-inf", "infinity", "0x1p3", "1e", "1,5", "1.0f", "e3",
                           " 1", "1 ", "--1", "1e999", "1e-999"}) {
    EXPECT_NE(Refusal(ParseFloat(text)), "accepted") << text;
  }
}

}  // namespace
}  // namespace drover
