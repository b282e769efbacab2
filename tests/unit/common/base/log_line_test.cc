#include "common/base/log_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace drover {
namespace {

LogLine LineOf(std::string_view message) {
  LogLine line;
  line.unix_ms = 1769860800123;  // date -u -d @1769860800: 2026-01-31 12:00:00
  line.level = "info";
  line.task = "coordinator";
  line.message = message;
  return line;
}

TEST(LogLineTest, JsonHoldsEveryFieldThatIsKnown) {
  LogLine line = LineOf("loaded");
  line.place = {.job = 255, .step = 3, .worker = "w1", .shard = "s1"};

  EXPECT_EQ(LogJson(line),
            R"({"time":"2026-01-31T12:00:00.123Z","level":"info","task":"coordinator",)"
            R"("job":"00000000000000ff","step":3,"worker":"w1","shard":"s1","message":"loaded"})");
}

TEST(LogLineTest, JsonLeavesOutWhatIsNotKnown) {
  const nlohmann::json json = nlohmann::json::parse(LogJson(LineOf("hello")));

  EXPECT_EQ(json.size(), 4u);
  EXPECT_EQ(json["message"], "hello");
}

TEST(LogLineTest, AWorkersOwnLinesNameIt) {
  LogLine line = LineOf("leaves");
  line.task = "worker/w7";
  EXPECT_EQ(nlohmann::json::parse(LogJson(line))["worker"], "w7");
  line.task = "shard/s2";
  EXPECT_EQ(nlohmann::json::parse(LogJson(line))["shard"], "s2");
  line.task = "shard";  // Its name is not known yet.
  EXPECT_FALSE(nlohmann::json::parse(LogJson(line)).contains("shard"));
}

TEST(LogLineTest, HostileTextStaysOneValueOfOneJsonLine) {
  using std::string_literals::operator""s;
  for (const std::string& text : {"\"},{\"level\":\"error"s, "two\nlines\r\n"s, "zero\0byte"s,
                                  "\x1b[2Jescape\x7f"s, "back\\"s, "\t\b\f"s, "grün ☃ 🐑"s}) {
    const std::string json = LogJson(LineOf(text));
    EXPECT_EQ(json.find('\n'), std::string::npos);
    EXPECT_EQ(nlohmann::json::parse(json)["message"], text);
  }
}

TEST(LogLineTest, HostileNamesAndFactsStayValuesToo) {
  LogLine line = LineOf("start");
  line.place.worker = "a\",\"job\":\"b";
  line.facts = {{"class", "x\"y\n"}};
  const nlohmann::json json = nlohmann::json::parse(LogJson(line));
  EXPECT_EQ(json["worker"], "a\",\"job\":\"b");
  EXPECT_EQ(json["facts"]["class"], "x\"y\n");
  EXPECT_FALSE(json.contains("job"));
}

TEST(LogLineTest, BytesThatAreNoUtf8AreReplaced) {
  // Alone, cut off, overlong, surrogate, above U+10FFFF: each byte that fits nowhere is one U+FFFD.
  const std::string replaced = "\xEF\xBF\xBD";
  const auto message = [](const std::string& text) {
    return nlohmann::json::parse(LogJson(LineOf(text)))["message"].get<std::string>();
  };
  EXPECT_EQ(message("a\x80z"), "a" + replaced + "z");
  EXPECT_EQ(message("\xE2\x98"), replaced + replaced);
  EXPECT_EQ(message("\xC0\xAF"), replaced + replaced);
  EXPECT_EQ(message("\xED\xA0\x80"), replaced + replaced + replaced);
  EXPECT_EQ(message("\xF4\x90\x80\x80"), replaced + replaced + replaced + replaced);
}

TEST(LogLineTest, AnyBytesGiveOneLineOfJson) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 24, '\0');
    for (char& c : text) c = static_cast<char>(random());
    LogLine line = LineOf(text);
    line.place.shard = text;
    const std::string json = LogJson(line);
    ASSERT_TRUE(nlohmann::json::accept(json)) << json;
    ASSERT_EQ(json.find('\n'), std::string::npos);
  }
}

TEST(LogLineTest, TextPutsThePlaceFirst) {
  EXPECT_EQ(LogText({.job = 255, .step = 3, .worker = "w1", .shard = "s1"}, "late"),
            "job=00000000000000ff step=3 worker=w1 shard=s1 late");
  EXPECT_EQ(LogText({}, "hello"), "hello");
}

TEST(LogLineTest, TextCannotForgeLinesOrMoveTheCursor) {
  EXPECT_EQ(LogText({}, "one\ntwo\x1b[2J"), "one\\x0atwo\\x1b[2J");
  EXPECT_EQ(LogText({}, "grün"), "grün");
}

TEST(LogLineTest, FactsWithSpacesAreQuotedInText) {
  EXPECT_EQ(LogText({}, "starts", {{"tls", "on"}, {"class", "cpu x"}, {"device", ""}}),
            "starts tls=on class=\"cpu x\" device=\"\"");
}

TEST(LogLineTest, ABlockAlignsTheValues) {
  EXPECT_EQ(FactBlock("drover-shard 0.1.0", {{"tls", "on"}, {"state_dir", "/srv/a b"}}),
            "drover-shard 0.1.0\n"
            "  tls        on\n"
            "  state_dir  /srv/a b");
}

}  // namespace
}  // namespace drover
