#include "server/shard/stream_watch.h"

#include <algorithm>

namespace drover {

StreamWatch::Id StreamWatch::Open(Instant now) {
  speak_by_[++last_id_] = now + kHelloTimeout;
  return last_id_;
}

void StreamWatch::Heard(Id id, Instant now) {
  const auto found = speak_by_.find(id);
  if (found != speak_by_.end()) found->second = now + kIdleTimeout;
}

void StreamWatch::Close(Id id) { speak_by_.erase(id); }

std::vector<StreamWatch::Id> StreamWatch::Silent(Instant now) {
  const Duration deaf = std::max(now - looked_.value_or(now) - kGap, Duration(0));
  looked_ = now;
  std::vector<Id> silent;
  for (auto& [id, speak_by] : speak_by_) {
    speak_by = speak_by + deaf;
    if (speak_by <= now) silent.push_back(id);
  }
  return silent;
}

}  // namespace drover
