#include "server/optim/name_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace drover {
namespace {

using testing::HasSubstr;

bool Matches(const char* pattern, const char* name) {
  const Result<NamePattern> compiled = NamePattern::Compile(pattern);
  EXPECT_TRUE(compiled.ok()) << compiled.status().message();
  return compiled.ok() && compiled.value().Matches(name);
}

TEST(NamePatternTest, IsFoundAnywhereUnlessItNamesTheEnds) {
  EXPECT_TRUE(Matches("bias", "fc1.bias"));
  EXPECT_TRUE(Matches("^fc[0-9]+[.]", "fc12.bias"));
  EXPECT_TRUE(Matches("(weight|bias)$", "a.weight"));
  EXPECT_FALSE(Matches("^bias", "fc1.bias"));
  EXPECT_FALSE(Matches("Bias", "fc1.bias"));
  EXPECT_FALSE(Matches("fc.$", "fc1.bias"));
}

TEST(NamePatternTest, SaysWhatIsWrongWithAPattern) {
  const auto message = [](const std::string& pattern) {
    const Result<NamePattern> compiled = NamePattern::Compile(pattern);
    EXPECT_EQ(compiled.status().code(), Code::kInvalidArgument);
    return compiled.status().message();
  };
  EXPECT_THAT(message(""), HasSubstr("has 0 bytes"));
  EXPECT_THAT(message(std::string(201, 'a')), HasSubstr("has 201 bytes"));
  EXPECT_THAT(message("(unclosed"), HasSubstr("missing )"));
  EXPECT_THAT(message("a{2,1}"), HasSubstr("expected a regular expression"));
  EXPECT_THAT(message("((a{100}){100}){100}"), HasSubstr("expected a regular expression"));
  EXPECT_THAT(message("(a)\\1"), HasSubstr("expected a regular expression")) << "no backreferences";
}

// Exponential for a backtracking matcher.
TEST(NamePatternTest, AHostilePatternIsMatchedAtOnce) {
  EXPECT_FALSE(Matches("^(a+)+$", (std::string(5000, 'a') + "b").c_str()));
  EXPECT_FALSE(Matches("^(a|a)*(a|a)*(a|a)*$", (std::string(5000, 'a') + "b").c_str()));
}

}  // namespace
}  // namespace drover
