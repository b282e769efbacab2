// What the command line says about encryption, the same for every program, and whether the files it
// names can be used. Opens no connection. Thread-safe: values and functions.

#ifndef DROVER_COMMON_TLS_TLS_FLAGS_H_
#define DROVER_COMMON_TLS_TLS_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/tls/identity.h"

namespace drover {

struct TlsFlags {
  std::string certificate;  // --tls-cert FILE
  std::string key;          // --tls-key FILE
  std::string authority;    // --tls-ca FILE
  bool insecure = false;    // --insecure: plain text to and from other machines.

  bool tls() const { return !certificate.empty() || !key.empty() || !authority.empty(); }
};

// What a program needs: a node shows a certificate of its role, a user may do without one.
struct TlsNeeds {
  std::optional<Role> role;  // None: a user.
};

struct TlsFacts {
  std::optional<Identity> identity;  // None without a certificate.
  int64_t not_after_unix_s = 0;      // 0 without one.
};

// Only when flags.tls(). Reads all files: they are there, fit each other, are valid now and of the
// right role. Errors name flag, file and what to do; they never hold a byte of a key.
Result<TlsFacts> CheckTlsFiles(const TlsFlags& flags, const TlsNeeds& needs, int64_t now_unix_s);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_TLS_FLAGS_H_
