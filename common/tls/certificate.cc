#include "common/tls/certificate.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <utility>

#include "common/base/quote.h"
#include "common/tls/openssl_owners.h"

namespace drover {
namespace {

// Clocks of a cluster differ a little.
constexpr int64_t kEarlySeconds = 300;
constexpr int64_t kDaySeconds = 86400;
constexpr int kSerialBits = 127;  // At most 20 bytes and positive (RFC 5280, 4.1.2.2).
constexpr size_t kHostBytesMax = 253;

using Key = std::unique_ptr<EVP_PKEY, Freeing<&EVP_PKEY_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freeing<&X509_EXTENSION_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Freeing<&BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freeing<&GENERAL_NAMES_free>>;
using Store = std::unique_ptr<X509_STORE, Freeing<&X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freeing<&X509_STORE_CTX_free>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using Chain = std::unique_ptr<STACK_OF(X509), FreeStack>;

Status LibraryError(const char* what) {
  std::array<char, 256> reason = {};
  ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
  ERR_clear_error();
  return Status(Code::kInternal, fmt::format("cannot {}: OpenSSL says {}", what, reason.data()));
}

Bio Memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

// An encrypted key would be asked for on the terminal.
int NoPassword(char*, int, int, void*) { return 0; }

// All certificates of a text; possibly none.
Chain ReadChain(const std::string& pem) {
  Chain chain(sk_X509_new_null());
  const Bio bio = Memory(pem);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    if (sk_X509_push(chain.get(), one) == 0) X509_free(one);
  }
  ERR_clear_error();  // The end of the text counts as an error.
  return chain;
}

Result<Certificate> ReadFirst(const std::string& pem) {
  const Bio bio = Memory(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (certificate != nullptr) return certificate;
  return Status(Code::kInvalidArgument,
                "holds no certificate: expected PEM text with -----BEGIN CERTIFICATE-----");
}

Result<Key> ReadKey(const std::string& pem) {
  const Bio bio = Memory(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key != nullptr) return key;
  return Status(Code::kInvalidArgument,
                "holds no private key: expected PEM text with -----BEGIN PRIVATE KEY-----, not "
                "encrypted");
}

Status AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return LibraryError("add an extension");
  }
  return Status();
}

// What all certificates have: number, times, names, key.
Result<Certificate> Begin(EVP_PKEY* key, const std::string& name, int days, int64_t now_unix_s) {
  if (days < 1 || days > kCertificateDaysMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} days: expected 1 to {}", days, kCertificateDaysMax));
  }
  Certificate certificate(X509_new());
  const BigNumber serial(BN_new());
  if (certificate == nullptr || serial == nullptr ||
      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr) {
    return LibraryError("begin a certificate");
  }
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  if (X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), now_unix_s - kEarlySeconds) ==
          nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), now_unix_s + days * kDaySeconds) ==
          nullptr ||
      X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>("Drover"), -1, -1,
                                 0) != 1 ||
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                 0) != 1 ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return LibraryError("fill in a certificate");
  }
  return certificate;
}

Result<KeyPair> SignAndPrint(X509* certificate, EVP_PKEY* key, EVP_PKEY* signer) {
  const Bio certificate_text(BIO_new(BIO_s_mem()));
  const Bio key_text(BIO_new(BIO_s_mem()));
  if (X509_sign(certificate, signer, EVP_sha256()) == 0 ||
      PEM_write_bio_X509(certificate_text.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return LibraryError("sign a certificate");
  }
  return KeyPair{TextOf(certificate_text.get()), TextOf(key_text.get())};
}

bool IsIpAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes = {};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

// The text goes into a list with commas, so nothing else may pass.
bool IsDnsName(std::string host) {
  if (host.starts_with("*.")) host.erase(0, 2);
  return !host.empty() && host.size() <= kHostBytesMax && host.front() != '.' &&
         host.find("..") == host.npos && std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-';
         });
}

Result<std::string> AlternativeNames(const CertificateRequest& request) {
  std::string names = "URI:" + IdentityUri(request.identity);
  for (const std::string& host : request.hosts) {
    if (!IsIpAddress(host) && !IsDnsName(host)) {
      return Status(Code::kInvalidArgument,
                    fmt::format("host {}: expected a DNS name or an IP address, without a port",
                                Quote(host)));
    }
    names += (IsIpAddress(host) ? ",IP:" : ",DNS:") + host;
  }
  return names;
}

int64_t UnixSeconds(const ASN1_TIME* time) {
  std::tm calendar = {};
  if (ASN1_TIME_to_tm(time, &calendar) != 1) return 0;
  return timegm(&calendar);
}

std::string StringOf(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
}

std::string IpText(const ASN1_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size());
  return text.data();
}

void AddName(const GENERAL_NAME* name, CertificateFacts* facts) {
  if (name->type == GEN_URI) facts->uris.push_back(StringOf(name->d.uniformResourceIdentifier));
  if (name->type == GEN_DNS) facts->hosts.push_back(StringOf(name->d.dNSName));
  if (name->type == GEN_IPADD) facts->hosts.push_back(IpText(name->d.iPAddress));
}

}  // namespace

Result<KeyPair> MakeAuthority(int days, int64_t now_unix_s) {
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return LibraryError("make a key");
  Result<Certificate> made = Begin(key.get(), "Drover CA", days, now_unix_s);
  if (!made.ok()) return made.status();
  X509* const certificate = made.value().get();
  if (X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1) {
    return LibraryError("name the issuer");
  }
  for (const auto& [kind, value] :
       {std::pair<int, const char*>{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"}}) {
    DROVER_RETURN_IF_ERROR(AddExtension(certificate, certificate, kind, value));
  }
  return SignAndPrint(certificate, key.get(), key.get());
}

Result<KeyPair> IssueCertificate(const KeyPair& authority, const CertificateRequest& request,
                                 int64_t now_unix_s) {
  if (!IsIdentityName(request.identity.name)) {
    return Status(Code::kInvalidArgument, fmt::format("name {}: expected [A-Za-z0-9_.-]{{1,63}}",
                                                      Quote(request.identity.name)));
  }
  const Result<std::string> names = AlternativeNames(request);
  if (!names.ok()) return names.status();
  const Result<Certificate> issuer = ReadFirst(authority.certificate);
  if (!issuer.ok()) return issuer.status().Annotate("the authority's certificate");
  const Result<Key> signer = ReadKey(authority.key);
  if (!signer.ok()) return signer.status().Annotate("the authority's key");
  DROVER_RETURN_IF_ERROR(CheckKeyFits(authority.certificate, authority.key));
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return LibraryError("make a key");
  Result<Certificate> made = Begin(key.get(), request.identity.name, request.days, now_unix_s);
  if (!made.ok()) return made.status();
  X509* const certificate = made.value().get();
  if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer.value().get())) != 1) {
    return LibraryError("name the issuer");
  }
  const std::string uses = request.hosts.empty() ? "clientAuth" : "serverAuth,clientAuth";
  for (const auto& [kind, value] :
       {std::pair<int, std::string>{NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, uses},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
        {NID_subject_alt_name, names.value()}}) {
    DROVER_RETURN_IF_ERROR(AddExtension(certificate, issuer.value().get(), kind, value));
  }
  return SignAndPrint(certificate, key.get(), signer.value().get());
}

Result<CertificateFacts> ReadCertificate(const std::string& pem) {
  const Result<Certificate> certificate = ReadFirst(pem);
  if (!certificate.ok()) return certificate.status();
  X509* const read = certificate.value().get();
  CertificateFacts facts;
  facts.not_before_unix_s = UnixSeconds(X509_get0_notBefore(read));
  facts.not_after_unix_s = UnixSeconds(X509_get0_notAfter(read));
  const Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(read, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    AddName(sk_GENERAL_NAME_value(names.get(), i), &facts);
  }
  return facts;
}

Status CheckKeyFits(const std::string& certificate, const std::string& key) {
  const Result<Certificate> first = ReadFirst(certificate);
  if (!first.ok()) return first.status().Annotate("the certificate's file");
  const Result<Key> read = ReadKey(key);
  if (!read.ok()) return read.status();
  const int fits = X509_check_private_key(first.value().get(), read.value().get());
  ERR_clear_error();
  if (fits == 1) return Status();
  return Status(Code::kInvalidArgument,
                "is not the key of the certificate: give the two that were made together");
}

Status CheckSignedBy(const std::string& certificate, const std::string& authorities) {
  const Result<Certificate> first = ReadFirst(certificate);
  if (!first.ok()) return first.status();
  const Chain chain = ReadChain(certificate);
  const Chain trusted = ReadChain(authorities);
  const Store store(X509_STORE_new());
  for (int i = 0; i < sk_X509_num(trusted.get()); ++i) {
    X509_STORE_add_cert(store.get(), sk_X509_value(trusted.get(), i));
  }
  X509_STORE_set_flags(store.get(), X509_V_FLAG_NO_CHECK_TIME);
  const StoreContext context(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store.get(), first.value().get(), chain.get()) != 1) {
    return LibraryError("look for the signer");
  }
  const int trustworthy = X509_verify_cert(context.get());
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (trustworthy == 1) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("is not signed by the given authority ({}): give the ca.crt that was "
                            "made with it",
                            X509_verify_cert_error_string(error)));
}

}  // namespace drover
