// Puts the weights of one version together from the chunks of all shards, while the lanes still
// read the version before. A version is handed out only when every chunk of it has arrived, from
// the epoch of this inbox. Knows nothing of streams. Thread-safe; shards are received side by side.
//
// Computing on the host needs float32: bfloat16 is widened here. With a Listener, which passes
// chunks on to GPUs as they arrive, it stays what it is.

#ifndef DROVER_WORKER_COMM_WEIGHTS_INBOX_H_
#define DROVER_WORKER_COMM_WEIGHTS_INBOX_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/rpc/frame.h"
#include "common/tensor/layout.h"
#include "common/tensor/weights_view.h"
#include "worker/comm/chunk_map.h"
#include "worker/comm/host_array.h"
#include "worker/comm/object_pool.h"

namespace drover {

// Weights of one version, all blocks. Immutable once handed out.
struct Weights {
  int64_t version = 0;
  HostArray<float> values;  // The parameter space: [SpanElements(all_blocks())], see WeightsView.
  std::vector<ElementRange> packed;

  WeightsView view() const { return {values.data(), packed}; }
};
using WeightsPool = ObjectPool<Weights>;

// Two versions of a layout without any allocation: the one in use and the one that arrives.
std::shared_ptr<WeightsPool> MakeWeightsPool(const Layout& layout,
                                             const HostMemoryMaker& memory = PlainHostMemory);

class WeightsInbox {
 public:
  // Is told of what arrives; any thread, side by side.
  struct Listener {
    // `version` is expected from here on, and memory of the one before may be written again.
    std::function<void(int64_t version)> on_expect;
    // A sound chunk; its memory stays as it is until on_expect of another version has returned.
    std::function<void(int64_t version, const ElementRange& elements, bool is_bf16,
                       const void* values)>
        on_chunk;
  };

  WeightsInbox(std::shared_ptr<const Layout> layout, std::shared_ptr<const ChunkMap> chunks,
               std::shared_ptr<WeightsPool> pool, uint32_t epoch,
               std::optional<Listener> listener = std::nullopt);

  // From here on only frames of this version count; drops what had arrived of another.
  void Expect(int64_t version);

  enum class Arrival {
    kMore,          // Taken, or not wanted.
    kPartComplete,  // The sender's part is whole.
    kComplete,      // So are all others: Take has it.
    // Nothing has changed:
    kDamaged,  // Wrong checksum: pulled again it may be right.
    kForeign,  // Of this epoch, but an encoding, length, layout or blocks that cannot be: the shard
               // means something else, and will again.
  };
  // A kWeights frame of shard `part`.
  Arrival Receive(size_t part, const ReceivedFrame& frame);

  // Shards have gone on to `current` and do not hold what is expected any more.
  void MarkGone(int64_t current);
  // What to expect instead, when MarkGone has said so since Expect.
  std::optional<int64_t> newer() const;

  // The expected version once it is complete, else null. `duration` (may be null): how long it took
  // from its first chunk to its last.
  std::shared_ptr<const Weights> Take(Duration* duration = nullptr);

  std::optional<int64_t> expected() const;

 private:
  enum class State : uint8_t { kMissing, kArriving, kHere };

  // The chunk that a frame brings, or nothing when it cannot be one of `part`.
  std::optional<size_t> ChunkOf(size_t part, const FrameHeader& header) const;
  Arrival Arrived(size_t part, size_t chunk, const std::optional<ElementRange>& packed)
      DROVER_REQUIRES(mutex_);

  const std::shared_ptr<const Layout> layout_;
  const std::shared_ptr<const ChunkMap> chunks_;
  const std::shared_ptr<WeightsPool> pool_;
  const uint32_t epoch_;
  const std::optional<Listener> listener_;

  mutable Mutex mutex_;
  std::optional<int64_t> version_ DROVER_GUARDED_BY(mutex_);
  std::optional<int64_t> newer_ DROVER_GUARDED_BY(mutex_);
  // A copy in progress holds it too; after Expect it is another one, which such a copy cannot harm.
  std::shared_ptr<Weights> filling_ DROVER_GUARDED_BY(mutex_);
  std::vector<State> states_ DROVER_GUARDED_BY(mutex_);         // [chunks]
  std::vector<size_t> part_missing_ DROVER_GUARDED_BY(mutex_);  // [parts] chunks.
  size_t missing_ DROVER_GUARDED_BY(mutex_) = 0;                // Chunks of all parts.
  std::optional<Instant> first_ DROVER_GUARDED_BY(mutex_);      // When the first chunk came.
  Instant last_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_WEIGHTS_INBOX_H_
