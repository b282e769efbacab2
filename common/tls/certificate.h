// Makes and reads X.509 certificates as Drover uses them: a small authority and what it signs, with
// ECDSA keys on P-256 and SHA-256. Text in and out is PEM. Touches no file. Thread-safe: functions
// only.

#ifndef DROVER_COMMON_TLS_CERTIFICATE_H_
#define DROVER_COMMON_TLS_CERTIFICATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/tls/identity.h"

namespace drover {

struct KeyPair {
  std::string certificate;  // PEM.
  std::string key;          // PEM, PKCS #8, not encrypted: a secret.
};

inline constexpr int kCertificateDaysMax = 3650;
// Of a file with a certificate or key; more is none.
inline constexpr uint64_t kPemFileBytesMax = 1 << 20;

// A certificate that signs itself and others. `days` in 1 to kCertificateDaysMax.
Result<KeyPair> MakeAuthority(int days, int64_t now_unix_s);

struct CertificateRequest {
  Identity identity;
  // DNS names and IP addresses that clients may dial; a name may begin with "*.". Whoever has none
  // can be a client only.
  std::vector<std::string> hosts;
  int days = 365;
};
// kInvalidArgument names the host, the name or the days that do not fit.
Result<KeyPair> IssueCertificate(const KeyPair& authority, const CertificateRequest& request,
                                 int64_t now_unix_s);

struct CertificateFacts {
  int64_t not_before_unix_s = 0;
  int64_t not_after_unix_s = 0;
  std::vector<std::string> uris;   // Of the subject's alternative names.
  std::vector<std::string> hosts;  // DNS names and IP addresses of the same.
};
// Of the first certificate in `pem`. kInvalidArgument when there is none.
Result<CertificateFacts> ReadCertificate(const std::string& pem);

// kInvalidArgument unless `key` is the private key of the first certificate in `certificate`.
Status CheckKeyFits(const std::string& certificate, const std::string& key);
// kInvalidArgument unless one of the certificates in `authorities` has signed `certificate`,
// directly or through others that stand behind it in the same text; times are not looked at.
Status CheckSignedBy(const std::string& certificate, const std::string& authorities);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_CERTIFICATE_H_
