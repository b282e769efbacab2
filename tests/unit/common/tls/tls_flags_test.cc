#include "common/tls/tls_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/tls/certificate.h"
#include "tests/unit/common/tls/temp_folder.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kNow = 1800000000;
constexpr TlsNeeds kWorkerNeeds = {Role::kWorker};
constexpr TlsNeeds kUserNeeds = {};

class TlsFlagsTest : public testing::Test {
 protected:
  TlsFlagsTest() : authority_(MakeAuthority(100, kNow).value()) {
    flags_.authority = folder_.Write("ca.crt", authority_.certificate, 0644);
    Issue({Role::kWorker, "w"}, kNow);
  }

  void Issue(const Identity& identity, int64_t when) {
    const KeyPair pair = IssueCertificate(authority_, {identity, {}, 1}, when).value();
    flags_.certificate = folder_.Write("w.crt", pair.certificate, 0644);
    flags_.key = folder_.Write("w.key", pair.key);
  }
  std::string ProblemOf(const TlsFlags& flags, const TlsNeeds& needs = kWorkerNeeds) {
    return CheckTlsFiles(flags, needs, kNow).status().message();
  }

  TempFolder folder_;
  KeyPair authority_;
  TlsFlags flags_;
};

TEST_F(TlsFlagsTest, GoodFilesSayWhoAndHowLong) {
  const Result<TlsFacts> facts = CheckTlsFiles(flags_, kWorkerNeeds, kNow);
  ASSERT_TRUE(facts.ok()) << facts.status().ToString();
  EXPECT_EQ(facts.value().identity, (Identity{Role::kWorker, "w"}));
  EXPECT_EQ(facts.value().not_after_unix_s, kNow + 86400);
}

TEST_F(TlsFlagsTest, AUserNeedsOnlyTheAuthority) {
  TlsFlags flags;
  flags.authority = flags_.authority;
  EXPECT_TRUE(CheckTlsFiles(flags, kUserNeeds, kNow).ok());
  EXPECT_THAT(ProblemOf(flags), HasSubstr("--tls-cert is missing: a worker must show"));
}

TEST_F(TlsFlagsTest, NamesTheFlagThatIsMissing) {
  TlsFlags flags = flags_;
  flags.key.clear();
  EXPECT_THAT(ProblemOf(flags), HasSubstr("--tls-key is missing"));
  flags = flags_;
  flags.authority.clear();
  EXPECT_THAT(ProblemOf(flags), HasSubstr("--tls-ca is missing"));
  flags = flags_;
  flags.certificate.clear();
  EXPECT_THAT(ProblemOf(flags, kUserNeeds), HasSubstr("--tls-cert is missing"));
  flags = flags_;
  flags.insecure = true;
  EXPECT_THAT(ProblemOf(flags), HasSubstr("contradict"));
}

TEST_F(TlsFlagsTest, NamesTheFileThatCannotBeUsed) {
  TlsFlags flags = flags_;
  flags.certificate = folder_.path() + "/absent.crt";
  EXPECT_THAT(ProblemOf(flags), HasSubstr("--tls-cert: cannot open"));
  flags = flags_;
  flags.authority = folder_.Write("junk", "junk");
  EXPECT_THAT(ProblemOf(flags), HasSubstr("junk\": holds no certificate"));
  flags = flags_;
  flags.key = folder_.Write("open.key", "x", 0644);
  EXPECT_THAT(ProblemOf(flags), HasSubstr("chmod 600"));
  flags.key = folder_.Write("bad.key", "x");
  EXPECT_THAT(ProblemOf(flags), HasSubstr("bad.key\": holds no private key"));
  flags.key = folder_.Write("ca.key", authority_.key);
  EXPECT_THAT(ProblemOf(flags), HasSubstr("is not the key of the certificate"));
}

TEST_F(TlsFlagsTest, RefusesWhatPeersWouldRefuse) {
  TlsFlags flags = flags_;
  flags.authority = folder_.Write("foreign.crt", MakeAuthority(9, kNow).value().certificate);
  EXPECT_THAT(ProblemOf(flags), HasSubstr("not signed by the given authority"));
  Issue({Role::kSubmitter, "ann"}, kNow);
  EXPECT_THAT(ProblemOf(flags_),
              HasSubstr("is the certificate of submitter/ann: expected one of the role worker"));
  EXPECT_TRUE(CheckTlsFiles(flags_, kUserNeeds, kNow).ok());
  Issue({Role::kWorker, "w"}, kNow - 2 * 86400);
  EXPECT_THAT(ProblemOf(flags_), HasSubstr("ran out 24 hours ago"));
  Issue({Role::kWorker, "w"}, kNow + 1000);
  EXPECT_THAT(ProblemOf(flags_), HasSubstr("valid only in 700 s"));
}

}  // namespace
}  // namespace drover
