// What lets a worker push to and pull from the shards of one job: claims and their HMAC-SHA256
// (RFC 2104, FIPS 180-4) under a key that only the coordinator and the job's shards know. A shard
// needs nobody else to check one. Pure but for the random key; thread-safe: functions only.
//
//   offset  bytes  integers are little-endian
//        0      1  algorithm: 1 = HMAC-SHA256; nothing else is accepted
//        1      1  verbs: 1 push, 2 pull
//        2      1  bytes of the subject, n = 1 to 63
//        3      1  0
//        4      4  epoch
//        8      8  job
//       16      8  expiry, seconds since 1970 UTC
//       24      n  subject: the worker's registered name
//     24+n     32  HMAC of all bytes before

#ifndef DROVER_COMMON_TLS_JOB_TOKEN_H_
#define DROVER_COMMON_TLS_JOB_TOKEN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace drover {

inline constexpr size_t kJobKeyBytes = 32;
inline constexpr uint8_t kVerbPush = 1;
inline constexpr uint8_t kVerbPull = 2;

// The coordinator's clock writes the expiry, the shard's compares. A token is renewed long before
// it runs out, so that the clocks may differ by half an hour, the shard's ahead; behind, they may
// differ by any time: the token is good for that much longer.
inline constexpr int64_t kJobTokenSeconds = 3600;
inline constexpr int64_t kJobTokenRenewSeconds = 900;

struct JobClaims {
  uint64_t job = 0;
  uint32_t epoch = 0;
  uint8_t verbs = 0;
  int64_t expiry_unix_s = 0;
  std::string subject;  // [A-Za-z0-9_.-]{1,63}

  friend bool operator==(const JobClaims&, const JobClaims&) = default;
};

// kJobKeyBytes from the kernel's random numbers.
Result<std::string> NewJobKey();

// `key` has kJobKeyBytes, the claims are as described above.
std::string SealJobToken(std::string_view key, const JobClaims& claims);

// What the token says of itself, believed by nobody yet: which key it is for. kUnauthenticated when
// it is no token of the form above.
Result<JobClaims> PeekJobToken(std::string_view token);

// The claims, if `key` sealed exactly these bytes; else kUnauthenticated. The time it takes does
// not depend on where a wrong HMAC differs.
Result<JobClaims> OpenJobToken(std::string_view key, std::string_view token);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_JOB_TOKEN_H_
