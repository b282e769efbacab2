#include "common/rpc/rate_limit.h"

#include <algorithm>
#include <chrono>

namespace drover {

bool RateLimit::Allow(const std::string& key, const Rate& rate, Instant now) {
  MutexLock lock(&mutex_);
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kKeysMax) ForgetFull(now);
    if (buckets_.size() >= kKeysMax) return false;  // So many who all call at once.
    found = buckets_.emplace(key, Bucket{rate.burst, now, now}).first;
  }
  Bucket& bucket = found->second;
  bucket.calls = std::min(rate.burst, bucket.calls + Seconds(now - bucket.at) * rate.per_second);
  bucket.at = now;
  const bool allowed = bucket.calls >= 1.0;
  if (allowed) bucket.calls -= 1.0;
  const std::chrono::duration<double> missing((rate.burst - bucket.calls) / rate.per_second);
  bucket.full_at = now + std::chrono::duration_cast<Duration>(missing);
  return allowed;
}

void RateLimit::ForgetFull(Instant now) {
  std::erase_if(buckets_, [now](const auto& entry) { return entry.second.full_at <= now; });
}

}  // namespace drover
