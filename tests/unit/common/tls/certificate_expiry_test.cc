#include "common/tls/certificate_expiry.h"

#include <gtest/gtest.h>

#include "common/tls/certificate.h"
#include "tests/unit/common/tls/temp_folder.h"

namespace drover {
namespace {

constexpr int64_t kStart = 1800000000;
constexpr int64_t kDaySeconds = 86400;

TEST(CertificateExpiryTest, FollowsTheFilesAndIsSilentAboutThoseThatCannotBeRead) {
  TempFolder folder;
  const KeyPair authority = MakeAuthority(100, kStart).value();
  const auto issue = [&](int days) {
    return folder.Write(
        "w.crt",
        IssueCertificate(authority, {{Role::kWorker, "w"}, {}, days}, kStart).value().certificate,
        0644);
  };
  TlsFlags flags;
  EXPECT_TRUE(ReadCertificateExpiry(flags).empty());
  flags.authority = folder.Write("ca.crt", authority.certificate, 0644);
  flags.certificate = issue(1);

  const std::vector<CertificateExpiry> first = ReadCertificateExpiry(flags);
  issue(30);
  const std::vector<CertificateExpiry> second = ReadCertificateExpiry(flags);
  flags.authority = folder.path() + "/absent.crt";
  folder.Write("w.crt", "no certificate", 0644);

  ASSERT_EQ(first.size(), 2U);
  EXPECT_STREQ(first[0].certificate, "own");
  EXPECT_EQ(first[0].not_after_unix_s, kStart + kDaySeconds);
  EXPECT_STREQ(first[1].certificate, "authority");
  EXPECT_EQ(first[1].not_after_unix_s, kStart + 100 * kDaySeconds);
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].not_after_unix_s, kStart + 30 * kDaySeconds);
  EXPECT_TRUE(ReadCertificateExpiry(flags).empty());
}

}  // namespace
}  // namespace drover
