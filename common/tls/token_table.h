// Bearer tokens of users: random secrets of which the server keeps only the SHA-256. A file with
// one line per token, "ROLE NAME SHA256"; # begins a comment. The tokens have 256 random bits, so
// no salt and no slow hash is needed. Thread-safe.

#ifndef DROVER_COMMON_TLS_TOKEN_TABLE_H_
#define DROVER_COMMON_TLS_TOKEN_TABLE_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/tls/identity.h"

namespace drover {

inline constexpr size_t kBearerTokensMax = 10000;
inline constexpr size_t kBearerTokenBytesMax = 256;  // Longer ones are refused unread.

struct TokenEntry {
  Identity identity;  // Never a node: those have certificates.
  std::string hash;   // 64 hexadecimal digits.
};

// A new secret, "drover_" and 64 hexadecimal digits, from the kernel's random numbers.
Result<std::string> NewToken();
std::string HashToken(std::string_view token);

// kInvalidArgument names the line, never its text.
Result<std::vector<TokenEntry>> ParseTokens(const std::string& text);
std::string FormatTokens(const std::vector<TokenEntry>& entries);

class TokenTable {
 public:
  // Reads the file; errors name it. It must not be open to every account.
  explicit TokenTable(std::string path) : path_(std::move(path)) {}
  Status Load() DROVER_EXCLUDES(mutex_);

  // Whose token it is: kUnauthenticated when it is nobody's. The file is read again when it has
  // changed; while it cannot be used no token is good. All entries are compared, in constant time.
  Result<Identity> Identify(std::string_view token) DROVER_EXCLUDES(mutex_);

 private:
  Status LoadLocked() DROVER_REQUIRES(mutex_);

  const std::string path_;
  Mutex mutex_;
  std::string stamp_ DROVER_GUARDED_BY(mutex_);
  std::vector<TokenEntry> entries_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_COMMON_TLS_TOKEN_TABLE_H_
