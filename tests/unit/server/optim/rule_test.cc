#include "server/optim/rule.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(RuleTest, EveryNameFindsItsOwnRow) {
  for (const RuleInfo& info : kRules) {
    EXPECT_EQ(FindRule(info.name), &InfoOf(info.rule));
  }
}

TEST(RuleTest, UnknownNamesFindNothing) {
  EXPECT_EQ(FindRule("Adam"), nullptr);
  EXPECT_EQ(FindRule("adam "), nullptr);
  EXPECT_EQ(FindRule(""), nullptr);
}

TEST(RuleTest, StateIsWhatTheRulesKeepPerWeight) {
  EXPECT_EQ(InfoOf(Rule::kSgd).slots, 0);
  EXPECT_EQ(InfoOf(Rule::kMomentum).slots, 1);
  EXPECT_EQ(InfoOf(Rule::kAdam).slots, 2);
  EXPECT_EQ(InfoOf(Rule::kAdamW).slots, 2);
  EXPECT_EQ(InfoOf(Rule::kLamb).slots, 2);
  EXPECT_EQ(InfoOf(Rule::kLion).slots, 1);
  EXPECT_EQ(InfoOf(Rule::kAmsGrad).slots, 3);
  EXPECT_EQ(InfoOf(Rule::kRmsProp).slots, 1);
  EXPECT_EQ(InfoOf(Rule::kRmsPropCenteredMomentum).slots, 3);
}

TEST(RuleTest, OnlyLambAndLarsHaveATrustRatio) {
  for (const RuleInfo& info : kRules) {
    EXPECT_EQ(info.trust_ratio, info.rule == Rule::kLamb || info.rule == Rule::kLars);
    EXPECT_EQ(info.ratio_on_gradient, info.rule == Rule::kLars);
  }
}

}  // namespace
}  // namespace drover
