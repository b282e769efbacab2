#include "common/tls/token_table.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include "common/base/digest.h"
#include "common/base/file_system.h"
#include "common/base/logging.h"
#include "common/base/quote.h"
#include "common/tls/secret_file.h"

namespace drover {
namespace {

constexpr uint64_t kTokenFileBytesMax = 4 << 20;
constexpr size_t kHashBytes = 64;  // Hexadecimal.

bool IsHash(const std::string& text) {
  return text.size() == kHashBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<TokenEntry> ParseLine(const std::string& line) {
  std::istringstream words(line);
  std::string role_name, name, hash, more;
  words >> role_name >> name >> hash;
  const std::optional<Role> role = ParseRole(role_name);
  if (words >> more || !role.has_value() || IsNode(*role) || !IsIdentityName(name) ||
      !IsHash(hash)) {
    return std::nullopt;
  }
  return TokenEntry{{*role, name}, hash};
}

}  // namespace

Result<std::string> NewToken() {
  std::array<unsigned char, 32> random = {};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return Status(Code::kInternal, "OpenSSL has no random numbers");
  }
  std::string token = "drover_";
  for (const unsigned char byte : random) token += fmt::format("{:02x}", byte);
  return token;
}

std::string HashToken(std::string_view token) {
  Sha256 hash;
  hash.Update(token.data(), token.size());
  return hash.HexDigest();
}

Result<std::vector<TokenEntry>> ParseTokens(const std::string& text) {
  std::vector<TokenEntry> entries;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    std::optional<TokenEntry> entry = ParseLine(line);
    if (!entry.has_value()) {
      return Status(Code::kInvalidArgument,
                    fmt::format("line {}: expected \"ROLE NAME SHA256\" with ROLE viewer, "
                                "submitter or admin; \"drover tokens add\" writes such lines",
                                number));
    }
    if (entries.size() == kBearerTokensMax) {
      return Status(Code::kInvalidArgument, fmt::format("more than {} tokens", kBearerTokensMax));
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

std::string FormatTokens(const std::vector<TokenEntry>& entries) {
  std::string text = "# ROLE NAME SHA256 of the token. Made by \"drover tokens\".\n";
  for (const TokenEntry& entry : entries) {
    text +=
        fmt::format("{} {} {}\n", RoleName(entry.identity.role), entry.identity.name, entry.hash);
  }
  return text;
}

Status TokenTable::Load() {
  MutexLock lock(&mutex_);
  return LoadLocked();
}

Status TokenTable::LoadLocked() {
  entries_.clear();
  stamp_ = FileStamp(path_);
  DROVER_RETURN_IF_ERROR(CheckSecretMode(path_));
  const Result<std::string> text = FileSystem::Real().ReadUserFile(path_, kTokenFileBytesMax);
  if (!text.ok()) return text.status();
  Result<std::vector<TokenEntry>> entries = ParseTokens(text.value());
  if (!entries.ok()) return entries.status().Annotate(Quote(path_));
  entries_ = std::move(entries).value();
  return Status();
}

Result<Identity> TokenTable::Identify(std::string_view token) {
  if (token.size() > kBearerTokenBytesMax) {
    return Status(Code::kUnauthenticated, "the token is longer than any that was given out");
  }
  const std::string hash = HashToken(token);
  MutexLock lock(&mutex_);
  if (FileStamp(path_) != stamp_) {
    const Status status = LoadLocked();
    if (!status.ok()) LogError("tokens: no token is good now: {}", status.message());
  }
  const TokenEntry* found = nullptr;
  for (const TokenEntry& entry : entries_) {
    if (CRYPTO_memcmp(entry.hash.data(), hash.data(), kHashBytes) == 0) found = &entry;
  }
  if (found != nullptr) return found->identity;
  return Status(Code::kUnauthenticated,
                "nobody's token: it was revoked, or is of another cluster; ask for a new one");
}

}  // namespace drover
