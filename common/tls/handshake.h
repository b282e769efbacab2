// What a server says when it is dialled, down to its certificate: for `drover doctor`, which wants
// to know why a connection does not come about. Not a client: nothing of what it learns is trusted.
// Blocks; thread-safe: a function only. The process must ignore SIGPIPE.

#ifndef DROVER_COMMON_TLS_HANDSHAKE_H_
#define DROVER_COMMON_TLS_HANDSHAKE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/tls/tls_flags.h"

namespace drover {

struct Handshake {
  enum class Speech {
    kNothing,      // Takes connections and says nothing, or hangs up.
    kUnresolved,   // No such name.
    kRefused,      // Nobody listens.
    kUnreachable,  // No answer in time, or no route.
    kHttp1,
    kHttp2,  // In plain text.
    kTls,
    kOther,
  };
  Speech speech = Speech::kNothing;
  std::string detail;  // Of the system or of OpenSSL, for what did not work.
  // With kTls. The certificate is that of the server, if it came as far as showing it.
  std::string untrusted;           // Why it is not signed by the authority; empty: it is, or none.
  bool name_fits = true;           // Whether it holds the host that was dialled.
  std::vector<std::string> names;  // That it does hold.
  int64_t not_before_unix_s = 0;
  int64_t not_after_unix_s = 0;
  bool turned_away = false;  // It did not like what we showed, or that we showed nothing.
};

// `address`: HOST:PORT. Tries plain text first, then TLS with the files of `flags`, if any. Takes
// at most a few times `timeout_ms`.
Handshake ProbeServer(const std::string& address, const TlsFlags& flags, int timeout_ms);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_HANDSHAKE_H_
