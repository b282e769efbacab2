// When the certificates of this process run out, for /metrics: read from the files each time, as
// they may be replaced while it runs. Thread-safe.

#ifndef DROVER_COMMON_TLS_CERTIFICATE_EXPIRY_H_
#define DROVER_COMMON_TLS_CERTIFICATE_EXPIRY_H_

#include <cstdint>
#include <vector>

#include "common/tls/tls_flags.h"

namespace drover {

struct CertificateExpiry {
  const char* certificate;  // "own" or "authority".
  int64_t not_after_unix_s;
};
// Of the first certificate in each file; nothing about one that cannot be read now.
std::vector<CertificateExpiry> ReadCertificateExpiry(const TlsFlags& flags);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_CERTIFICATE_EXPIRY_H_
