#include "common/tls/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kNow = 1800000000;
constexpr int64_t kDay = 86400;

KeyPair Authority() { return MakeAuthority(100, kNow).value(); }

TEST(CertificateTest, SaysWhoItIsForAndHowLong) {
  const CertificateRequest request = {
      {Role::kShard, "shard-0"}, {"localhost", "*.shards.example", "127.0.0.1", "::1"}, 30};

  const Result<KeyPair> pair = IssueCertificate(Authority(), request, kNow);

  ASSERT_TRUE(pair.ok()) << pair.status().ToString();
  const CertificateFacts facts = ReadCertificate(pair.value().certificate).value();
  EXPECT_THAT(facts.uris, ElementsAre("spiffe://drover/shard/shard-0"));
  EXPECT_THAT(facts.hosts, ElementsAre("localhost", "*.shards.example", "127.0.0.1", "::1"));
  EXPECT_EQ(facts.not_before_unix_s, kNow - 300);
  EXPECT_EQ(facts.not_after_unix_s, kNow + 30 * kDay);
  EXPECT_TRUE(CheckKeyFits(pair.value().certificate, pair.value().key).ok());
}

TEST(CertificateTest, IsTrustedOnlyByItsAuthority) {
  const KeyPair authority = Authority();
  const KeyPair other = Authority();
  const KeyPair pair = IssueCertificate(authority, {{Role::kWorker, "w"}, {}, 1}, kNow).value();

  EXPECT_TRUE(CheckSignedBy(pair.certificate, authority.certificate).ok());
  // Both authorities have the same name: the key decides. Two in one file: while one is replaced.
  EXPECT_FALSE(CheckSignedBy(pair.certificate, other.certificate).ok());
  EXPECT_TRUE(CheckSignedBy(pair.certificate, other.certificate + authority.certificate).ok());
  EXPECT_FALSE(CheckSignedBy(pair.certificate, "").ok());
}

TEST(CertificateTest, WhatItSignsSignsNothing) {
  const KeyPair authority = Authority();
  const KeyPair worker = IssueCertificate(authority, {{Role::kWorker, "w"}, {}, 1}, kNow).value();
  const KeyPair forged = IssueCertificate(worker, {{Role::kAdmin, "me"}, {}, 1}, kNow).value();

  EXPECT_FALSE(CheckSignedBy(forged.certificate + worker.certificate, authority.certificate).ok());
}

TEST(CertificateTest, KeysOfOthersDoNotFit) {
  const KeyPair authority = Authority();
  const KeyPair a = IssueCertificate(authority, {{Role::kWorker, "a"}, {}, 1}, kNow).value();
  const KeyPair b = IssueCertificate(authority, {{Role::kWorker, "b"}, {}, 1}, kNow).value();

  EXPECT_THAT(CheckKeyFits(a.certificate, b.key).message(), HasSubstr("not the key"));
  EXPECT_THAT(CheckKeyFits(a.certificate, "x").message(), HasSubstr("no private key"));
  EXPECT_THAT(CheckKeyFits("x", a.key).message(), HasSubstr("no certificate"));
  EXPECT_EQ(IssueCertificate({authority.certificate, a.key}, {{Role::kWorker, "c"}, {}, 1}, kNow)
                .status()
                .code(),
            Code::kInvalidArgument);
}

TEST(CertificateTest, RefusesRequestsThatDoNotFit) {
  const KeyPair authority = Authority();
  const Identity worker = {Role::kWorker, "w"};
  for (const char* host :
       {"", "a b", "a,DNS:b", "host:1", "a..b", "*", "*.", "a/24", "a\n", "[::1]"}) {
    EXPECT_THAT(IssueCertificate(authority, {worker, {host}, 1}, kNow).status().message(),
                HasSubstr("host "))
        << host;
  }
  for (const int days : {0, -1, kCertificateDaysMax + 1}) {
    EXPECT_FALSE(IssueCertificate(authority, {worker, {}, days}, kNow).ok());
    EXPECT_FALSE(MakeAuthority(days, kNow).ok());
  }
  EXPECT_FALSE(IssueCertificate(authority, {{Role::kAdmin, "a/b"}, {}, 1}, kNow).ok());
  EXPECT_FALSE(ReadCertificate("-----BEGIN CERTIFICATE-----\nAAAA\n").ok());
}

}  // namespace
}  // namespace drover
