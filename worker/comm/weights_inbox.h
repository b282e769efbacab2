// Puts the weights of one version together from the chunks of all shards. Two buffers: one that the
// lanes read, one that fills; a version is handed out only when every block of it has arrived from
// the epoch it was asked in. Knows nothing of streams. Thread-safe.

#ifndef DROVER_WORKER_COMM_WEIGHTS_INBOX_H_
#define DROVER_WORKER_COMM_WEIGHTS_INBOX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/base/mutex.h"
#include "common/rpc/frame.h"
#include "common/tensor/buffer.h"
#include "common/tensor/layout.h"

namespace drover {

// Weights of one version, all blocks. Immutable once handed out.
struct Weights {
  int64_t version = 0;
  FloatBuffer values;  // The parameter space: [SpanElements(all_blocks())] float32.
};

class WeightsInbox {
 public:
  // `parts`: the blocks of each shard.
  WeightsInbox(std::shared_ptr<const Layout> layout, std::vector<BlockRange> parts);

  // From here on only frames of this epoch and version count; drops what had arrived of another.
  void Expect(uint32_t epoch, int64_t version);

  enum class Arrival {
    kMore,          // Taken, or not wanted.
    kPartComplete,  // The sender's part is whole.
    kComplete,      // So are all others: Take has it.
    kDamaged,       // Wrong length, layout or checksum.
  };
  // A kWeights frame of shard `part`.
  Arrival Receive(size_t part, const ReceivedFrame& frame);

  // The expected version once it is complete, else null. Its memory is used again when the last
  // reference to it is gone.
  std::shared_ptr<const Weights> Take();

  std::optional<int64_t> expected() const;

 private:
  bool FrameFits(size_t part, const FrameHeader& header) const;

  const std::shared_ptr<const Layout> layout_;
  const std::vector<BlockRange> parts_;
  mutable Mutex mutex_;
  uint32_t epoch_ DROVER_GUARDED_BY(mutex_) = 0;
  std::optional<int64_t> version_ DROVER_GUARDED_BY(mutex_);
  std::shared_ptr<Weights> filling_ DROVER_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Weights>> pool_ DROVER_GUARDED_BY(mutex_);
  std::set<uint32_t> arrived_ DROVER_GUARDED_BY(mutex_);            // First blocks of chunks.
  std::vector<uint32_t> blocks_missing_ DROVER_GUARDED_BY(mutex_);  // Per part.
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_WEIGHTS_INBOX_H_
