// How often each caller may call: a token bucket per key. Knows the newest keys only, so that many
// callers cost no more memory than some. Pure but for its lock; thread-safe.

#ifndef DROVER_COMMON_RPC_RATE_LIMIT_H_
#define DROVER_COMMON_RPC_RATE_LIMIT_H_

#include <cstddef>
#include <map>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace drover {

class RateLimit {
 public:
  static constexpr size_t kKeysMax = 10'000;

  struct Rate {
    double per_second;
    double burst;  // How many at once, after a pause; at least 1.
  };

  // Whether one more call at `now` is within the rate; then it counts. One key, one rate.
  bool Allow(const std::string& key, const Rate& rate, Instant now) DROVER_EXCLUDES(mutex_);

 private:
  struct Bucket {
    double calls = 0;  // Left, as of `at`.
    Instant at;
    Instant full_at;  // Whoever waits until then is like a new one.
  };

  void ForgetFull(Instant now) DROVER_REQUIRES(mutex_);

  Mutex mutex_;
  std::map<std::string, Bucket> buckets_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_RATE_LIMIT_H_
