#include "tests/bad_input/pki.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "common/base/clock.h"
#include "common/tls/secret_file.h"

namespace drover::bad_input {
namespace {

int64_t UnixNow() { return Clock::Real().UnixMilliseconds() / 1000; }

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio MemoryOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free_all);
}

void ReplaceNames(X509* certificate, const std::string& names) {
  const int old = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (old >= 0) X509_EXTENSION_free(X509_delete_ext(certificate, old));
  if (names.empty()) return;
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  ASSERT_NE(extension, nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

Pki::Pki(const std::string& folder)
    : folder_(folder), now_unix_s_(UnixNow()), authority_(MakeAuthority(10, now_unix_s_).value()) {
  EXPECT_TRUE(ReplaceFile(folder_ + "/ca.crt", authority_.certificate, 0644).ok());
}

KeyPair Pki::Issue(const Identity& identity) const { return IssueAt(identity, 0); }

KeyPair Pki::IssueAt(const Identity& identity, int64_t offset_s) const {
  return IssueCertificate(authority_, {identity, {}, 1}, now_unix_s_ + offset_s).value();
}

KeyPair Pki::IssueWithUris(const std::vector<std::string>& uris) const {
  KeyPair pair = Issue({Role::kAdmin, "x"});
  const Bio in = MemoryOf(pair.certificate);
  const Certificate certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), &X509_free);
  const Bio key_in = MemoryOf(authority_.key);
  const Key key(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  std::string names;
  for (const std::string& uri : uris) names += (names.empty() ? "URI:" : ",URI:") + uri;
  ReplaceNames(certificate.get(), names);
  EXPECT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  const Bio out(BIO_new(BIO_s_mem()), &BIO_free_all);
  PEM_write_bio_X509(out.get(), certificate.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  pair.certificate.assign(text, static_cast<size_t>(size));
  return pair;
}

KeyPair Pki::IssueForeign(const Identity& identity) const {
  const KeyPair foreign = MakeAuthority(10, now_unix_s_).value();
  return IssueCertificate(foreign, {identity, {}, 1}, now_unix_s_).value();
}

TlsFlags Pki::ServerFiles(const Identity& identity) const {
  const KeyPair pair =
      IssueCertificate(authority_, {identity, {"localhost", "127.0.0.1"}, 1}, now_unix_s_).value();
  const std::string stem = folder_ + "/" + RoleName(identity.role) + "-" + identity.name;
  TlsFlags flags;
  flags.certificate = stem + ".crt";
  flags.key = stem + ".key";
  flags.authority = folder_ + "/ca.crt";
  EXPECT_TRUE(ReplaceFile(flags.certificate, pair.certificate, 0644).ok());
  EXPECT_TRUE(ReplaceFile(flags.key, pair.key, 0600).ok());
  return flags;
}

}  // namespace drover::bad_input
