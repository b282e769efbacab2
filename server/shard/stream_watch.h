// Which data streams have said nothing for too long: each holds two threads and a descriptor, and a
// peer with a good token could keep them for nothing. Pure; not thread-safe: TensorService owns it.

#ifndef DROVER_SERVER_SHARD_STREAM_WATCH_H_
#define DROVER_SERVER_SHARD_STREAM_WATCH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/clock.h"

namespace drover {

class StreamWatch {
 public:
  // The hello is sent with the opening, and a busy machine has sent it long before.
  static constexpr Duration kHelloTimeout = std::chrono::seconds(10);
  // A worker that has no pull open here waits for another shard or computes a leaf: both take less,
  // and it only has to dial again.
  static constexpr Duration kIdleTimeout = std::chrono::minutes(5);
  // Time by which two calls of Silent are further apart: this process did not run, so it could hear
  // nobody.
  static constexpr Duration kGap = std::chrono::seconds(3);

  using Id = uint64_t;
  Id Open(Instant now);
  // It has sent a frame, or waits for us.
  void Heard(Id id, Instant now);
  void Close(Id id);

  // Those whose time is up, again until they are heard or closed. To be called every second.
  std::vector<Id> Silent(Instant now);

 private:
  Id last_id_ = 0;
  std::optional<Instant> looked_;
  std::map<Id, Instant> speak_by_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_STREAM_WATCH_H_
