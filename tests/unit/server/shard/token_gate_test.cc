#include "server/shard/token_gate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace drover {
namespace {

constexpr uint64_t kJob = 9;
constexpr int64_t kNow = 1'700'000'000;

class StillClock : public Clock {
 public:
  Instant Now() const override { return {}; }
  int64_t UnixMilliseconds() const override { return now_unix_s * 1000; }
  int64_t now_unix_s = kNow;
};

PlaceOrder Place(uint64_t job, uint32_t epoch, char key) {
  PlaceOrder order;
  order.job = job;
  order.epoch = epoch;
  order.token_key = std::string(kJobKeyBytes, key);
  return order;
}

class TokenGateTest : public testing::Test {
 protected:
  TokenGateTest() : gate_(clock_, [this](AuthFailure failure) { refused_.push_back(failure); }) {
    gate_.OnOrder(Place(kJob, 2, 'k'));
  }

  static JobClaims Claims() { return {kJob, 2, kVerbPush | kVerbPull, kNow + 10, "w-1"}; }
  static std::string Token(const JobClaims& claims, char key = 'k') {
    return SealJobToken(std::string(kJobKeyBytes, key), claims);
  }
  Result<JobClaims> Admit(const std::string& token, const std::string& worker = "w-1",
                          const std::optional<Identity>& certificate = std::nullopt) {
    return gate_.Admit({{token}, worker, certificate, "ipv4:10.0.0.7:1"});
  }
  void ExpectRefusal(const Status& status, Code code, AuthFailure failure) {
    EXPECT_EQ(status.code(), code) << status.ToString();
    ASSERT_EQ(refused_.size(), 1u);
    EXPECT_EQ(AuthFailureName(refused_[0]), std::string(AuthFailureName(failure)));
    refused_.clear();
  }

  StillClock clock_;
  std::vector<AuthFailure> refused_;
  TokenGate gate_;
};

TEST_F(TokenGateTest, TheTokenOfAJobThatIsHereOpens) {
  const Result<JobClaims> claims = Admit(Token(Claims()));
  ASSERT_TRUE(claims.ok()) << claims.status().ToString();
  EXPECT_EQ(claims.value(), Claims());
  EXPECT_TRUE(Admit(Token(Claims()), "w-1", Identity{Role::kWorker, "w"}).ok());
  EXPECT_TRUE(Admit(Token(Claims()), "w-1", Identity{Role::kWorker, "w-1"}).ok());
  EXPECT_TRUE(refused_.empty());
}

TEST_F(TokenGateTest, NoneTwoBrokenOnesAndThoseOfAnotherKeyAreUnauthenticated) {
  const std::string good = Token(Claims());
  ExpectRefusal(gate_.Admit({{}, "w-1", std::nullopt, ""}).status(), Code::kUnauthenticated,
                AuthFailure::kNoCredentials);
  ExpectRefusal(gate_.Admit({{good, good}, "w-1", std::nullopt, ""}).status(),
                Code::kUnauthenticated, AuthFailure::kBadToken);
  std::string downgraded = good;
  downgraded[0] = 0;
  for (const std::string& token : {std::string(), good.substr(1), good.substr(0, good.size() - 1),
                                   downgraded, std::string(1 << 20, 'x'), Token(Claims(), 'o')}) {
    ExpectRefusal(Admit(token).status(), Code::kUnauthenticated, AuthFailure::kBadToken);
  }
}

TEST_F(TokenGateTest, AForeignJobAndAnotherEpochAreDenied) {
  JobClaims claims = Claims();
  claims.job = 8;
  ExpectRefusal(Admit(Token(claims)).status(), Code::kPermissionDenied, AuthFailure::kStaleToken);
  for (const uint32_t epoch : {1u, 3u}) {
    claims = Claims();
    claims.epoch = epoch;
    ExpectRefusal(Admit(Token(claims)).status(), Code::kPermissionDenied, AuthFailure::kStaleToken);
  }
  // Another job that is here too: its key is another one.
  gate_.OnOrder(Place(8, 2, 'o'));
  claims = Claims();
  claims.job = 8;
  ExpectRefusal(Admit(Token(claims)).status(), Code::kUnauthenticated, AuthFailure::kBadToken);
  EXPECT_TRUE(Admit(Token(claims, 'o')).ok());
}

TEST_F(TokenGateTest, SomebodyElsesTokenIsDenied) {
  ExpectRefusal(Admit(Token(Claims()), "w-2").status(), Code::kPermissionDenied,
                AuthFailure::kForbidden);
  ExpectRefusal(Admit(Token(Claims()), "").status(), Code::kPermissionDenied,
                AuthFailure::kForbidden);
  // The thief gives the right name, but has another certificate.
  ExpectRefusal(Admit(Token(Claims()), "w-1", Identity{Role::kWorker, "w-2"}).status(),
                Code::kPermissionDenied, AuthFailure::kForbidden);
}

TEST_F(TokenGateTest, AWorkerHasSomeStreamsAndNoMore) {
  for (int i = 0; i < TokenGate::kStreamsPerWorkerMax; ++i) {
    EXPECT_TRUE(Admit(Token(Claims())).ok());
  }
  ExpectRefusal(Admit(Token(Claims())).status(), Code::kResourceExhausted, AuthFailure::kTooMany);
  JobClaims other = Claims();
  other.subject = "w-2";
  EXPECT_TRUE(Admit(Token(other), "w-2").ok());
  gate_.Leave(Claims());
  EXPECT_TRUE(Admit(Token(Claims())).ok());
}

TEST_F(TokenGateTest, ATokenRunsOutByTheClockOfTheShard) {
  clock_.now_unix_s = kNow + 10;
  EXPECT_TRUE(Admit(Token(Claims())).ok());
  clock_.now_unix_s = kNow + 11;
  ExpectRefusal(Admit(Token(Claims())).status(), Code::kUnauthenticated,
                AuthFailure::kExpiredToken);
  clock_.now_unix_s = kNow - 1'000'000;  // Behind: no reason to refuse.
  EXPECT_TRUE(Admit(Token(Claims())).ok());
}

TEST_F(TokenGateTest, ANewEpochAndTheEndOfTheJobVoidOldTokens) {
  const std::string old = Token(Claims());
  gate_.OnOrder(Place(kJob, 3, 'n'));
  ExpectRefusal(Admit(old).status(), Code::kPermissionDenied, AuthFailure::kStaleToken);
  gate_.OnOrder(Place(kJob, 2, 'k'));  // Arrives late; the shard refuses it as well.
  ExpectRefusal(Admit(old).status(), Code::kPermissionDenied, AuthFailure::kStaleToken);
  JobClaims claims = Claims();
  claims.epoch = 3;
  EXPECT_TRUE(Admit(Token(claims, 'n')).ok());
  gate_.OnOrder(ReleaseOrder{kJob});
  ExpectRefusal(Admit(Token(claims, 'n')).status(), Code::kPermissionDenied,
                AuthFailure::kStaleToken);
}

TEST_F(TokenGateTest, FramesBeyondTheTokenAreDenied) {
  const TokenGate::Visitor visitor = {{Token(Claims())}, "w-1", std::nullopt, ""};
  JobClaims pull = Claims();
  pull.verbs = kVerbPull;
  EXPECT_TRUE(gate_.CheckFrame(visitor, Claims(), kJob, 2, kVerbPush).ok());
  EXPECT_TRUE(gate_.CheckFrame(visitor, pull, kJob, 2, kVerbPull).ok());
  ExpectRefusal(gate_.CheckFrame(visitor, pull, kJob, 2, kVerbPush), Code::kPermissionDenied,
                AuthFailure::kForbidden);
  ExpectRefusal(gate_.CheckFrame(visitor, Claims(), 8, 2, kVerbPush), Code::kPermissionDenied,
                AuthFailure::kForbidden);
  ExpectRefusal(gate_.CheckFrame(visitor, Claims(), kJob, 3, kVerbPull), Code::kPermissionDenied,
                AuthFailure::kForbidden);
}

}  // namespace
}  // namespace drover
