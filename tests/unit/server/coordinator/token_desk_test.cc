#include "server/coordinator/token_desk.h"

#include <gtest/gtest.h>

#include <string>

#include "common/tls/job_token.h"

namespace drover {
namespace {

constexpr int64_t kNow = 1'700'000'000;

class TokenDeskTest : public testing::Test {
 protected:
  TokenDeskTest() { desk_.OnEvent(WorkerJoined{5, "w-1", "class", 1}); }

  TokenDesk desk_{[this] { return std::string(kJobKeyBytes, next_++); }};
  char next_ = 'a';
};

TEST_F(TokenDeskTest, EachEpochOfEachJobHasOneKey) {
  const std::string first = desk_.KeyOf(1, 1);
  EXPECT_EQ(desk_.KeyOf(1, 1), first);
  EXPECT_NE(desk_.KeyOf(2, 1), first);
  EXPECT_NE(desk_.KeyOf(1, 2), first);
  EXPECT_NE(desk_.KeyOf(1, 3), desk_.KeyOf(2, 1));
}

TEST_F(TokenDeskTest, AGrantIsForTheWorkerBehindTheSession) {
  const std::string token = desk_.Grant(5, 9, 2, kNow);
  const Result<JobClaims> claims = OpenJobToken(desk_.KeyOf(9, 2), token);
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ(claims.value(),
            (JobClaims{9, 2, kVerbPush | kVerbPull, kNow + kJobTokenSeconds, "w-1"}));
  EXPECT_EQ(desk_.Grant(6, 9, 2, kNow), "");
  desk_.OnEvent(WorkerLeft{5, "gone"});
  EXPECT_EQ(desk_.Grant(5, 9, 2, kNow), "");
}

TEST_F(TokenDeskTest, AGrantIsRenewedLongBeforeItRunsOut) {
  desk_.Grant(5, 9, 2, kNow);
  EXPECT_TRUE(desk_.Renew(kNow + kJobTokenRenewSeconds - 1).empty());
  const int64_t later = kNow + kJobTokenRenewSeconds;
  const std::vector<TokenDesk::Renewal> renewals = desk_.Renew(later);
  ASSERT_EQ(renewals.size(), 1u);
  EXPECT_EQ(renewals[0].session, 5u);
  EXPECT_EQ(renewals[0].job, 9u);
  EXPECT_EQ(renewals[0].epoch, 2u);
  EXPECT_EQ(OpenJobToken(desk_.KeyOf(9, 2), renewals[0].token).value().expiry_unix_s,
            later + kJobTokenSeconds);
  EXPECT_TRUE(desk_.Renew(later + 1).empty());
  EXPECT_EQ(desk_.Renew(later - 100'000).size(), 1u) << "the clock was turned back";
}

TEST_F(TokenDeskTest, WhatIsOverIsNotRenewed) {
  const int64_t later = kNow + kJobTokenRenewSeconds;
  desk_.Grant(5, 9, 2, kNow);
  desk_.EndGrant(5, 8);  // Not that one.
  EXPECT_EQ(desk_.Renew(later).size(), 1u);
  desk_.EndGrant(5, 9);
  EXPECT_TRUE(desk_.Renew(later + later).empty());
  desk_.Grant(5, 9, 2, kNow);
  desk_.KeyOf(9, 3);
  EXPECT_TRUE(desk_.Renew(later).empty());
  desk_.Grant(5, 9, 3, kNow);
  desk_.OnEvent(JobDeleted{9});
  EXPECT_TRUE(desk_.Renew(later).empty());
}

}  // namespace
}  // namespace drover
