#include "common/tls/job_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <utility>

#include "common/base/check.h"
#include "common/tls/identity.h"

namespace drover {
namespace {

constexpr char kHmacSha256 = 1;
constexpr uint8_t kAllVerbs = kVerbPush | kVerbPull;
constexpr size_t kHeadBytes = 24;
constexpr size_t kMacBytes = 32;
constexpr size_t kSubjectBytesMax = 63;

using Mac = std::array<unsigned char, kMacBytes>;

Mac MacOf(std::string_view key, std::string_view claims) {
  Mac mac = {};
  unsigned size = 0;
  const unsigned char* const done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(claims.data()), claims.size(), mac.data(), &size);
  DROVER_CHECK(done != nullptr && size == mac.size());
  return mac;
}

void Put(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

uint64_t Take(std::string_view token, size_t offset, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(token[offset + i]);
  }
  return value;
}

Status NoToken() { return Status(Code::kUnauthenticated, "this is no job token of this release"); }

}  // namespace

Result<std::string> NewJobKey() {
  std::array<unsigned char, kJobKeyBytes> key = {};
  if (RAND_bytes(key.data(), static_cast<int>(key.size())) != 1) {
    return Status(Code::kInternal, "OpenSSL has no random numbers");
  }
  return std::string(key.begin(), key.end());
}

std::string SealJobToken(std::string_view key, const JobClaims& claims) {
  DROVER_CHECK(key.size() == kJobKeyBytes && IsIdentityName(claims.subject));
  std::string token(1, kHmacSha256);
  Put(&token, claims.verbs, 1);
  Put(&token, claims.subject.size(), 1);
  Put(&token, 0, 1);
  Put(&token, claims.epoch, 4);
  Put(&token, claims.job, 8);
  Put(&token, static_cast<uint64_t>(claims.expiry_unix_s), 8);
  token += claims.subject;
  const Mac mac = MacOf(key, token);
  token.append(mac.begin(), mac.end());
  return token;
}

Result<JobClaims> PeekJobToken(std::string_view token) {
  if (token.size() <= kHeadBytes + kMacBytes || token[0] != kHmacSha256) return NoToken();
  const size_t subject_bytes = Take(token, 2, 1);
  const bool whole = subject_bytes >= 1 && subject_bytes <= kSubjectBytesMax &&
                     token.size() == kHeadBytes + subject_bytes + kMacBytes;
  JobClaims claims;
  claims.verbs = static_cast<uint8_t>(Take(token, 1, 1));
  if (!whole || token[3] != 0 || (claims.verbs & ~kAllVerbs) != 0) return NoToken();
  claims.epoch = static_cast<uint32_t>(Take(token, 4, 4));
  claims.job = Take(token, 8, 8);
  claims.expiry_unix_s = static_cast<int64_t>(Take(token, 16, 8));
  claims.subject = std::string(token.substr(kHeadBytes, subject_bytes));
  if (!IsIdentityName(claims.subject)) return NoToken();
  return claims;
}

Result<JobClaims> OpenJobToken(std::string_view key, std::string_view token) {
  Result<JobClaims> claims = PeekJobToken(token);
  if (!claims.ok()) return claims;
  const size_t sealed = token.size() - kMacBytes;
  const Mac mac = MacOf(key, token.substr(0, sealed));
  if (CRYPTO_memcmp(mac.data(), token.data() + sealed, mac.size()) != 0) {
    return Status(Code::kUnauthenticated, "the job token was not made with this job's key");
  }
  return claims;
}

}  // namespace drover
