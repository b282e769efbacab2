// Immutable versions of the weights that a shard owns, in two buffers that take turns: version t is
// served while t+1 is computed, and the buffer of t-1 becomes t+1's once nobody reads it any more.
// The network may hold a version long after the shard has moved on. Knows nothing of steps or
// streams. Thread-safe; a buffer is written only by who acquired it, before it becomes a Version.
//
// Memory of a shard: two weight buffers, the rule's slots and the accumulator's int64 sums: for
// LAMB and AdamW 4 + 4 + 4 + 4 + 8 = 24 bytes per parameter.

#ifndef DROVER_SERVER_SHARD_VERSIONS_H_
#define DROVER_SERVER_SHARD_VERSIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "common/tensor/buffer.h"

namespace drover {

struct Version {
  int64_t number = 0;
  // [SpanElements(owned)] float32, gaps between tensors are 0.
  std::shared_ptr<const FloatBuffer> weights;
  // [SpanElements(owned)] bfloat16 of `weights`, what is sent in a job of that precision; else
  // null.
  std::shared_ptr<const Buffer<uint16_t>> rounded;
  // CRC-32C of each chunk's bytes as they are sent, as Layout::Chunks(owned) cuts them; computed
  // once.
  std::vector<uint32_t> chunk_crcs;
};

class WeightBuffers {
 public:
  static constexpr size_t kBuffers = 2;

  // Buffers of `elements` zeros, allocated when first acquired.
  explicit WeightBuffers(size_t elements);
  // Buffers that are still read live on until they are let go.
  ~WeightBuffers();

  // A buffer that nobody reads: zeros, or an older version. Waits at most `timeout` for one; null
  // when the time is up. It returns here with its last reference, on any thread.
  std::shared_ptr<FloatBuffer> Acquire(Duration timeout);

  // As Acquire, but takes a buffer beyond kBuffers instead of waiting: for a reader that cannot be
  // got rid of. One that is too many is freed with its last reference.
  std::shared_ptr<FloatBuffer> AcquireExtra();

  // Held now, in use or free.
  size_t bytes() const;

 private:
  struct Pool;
  std::shared_ptr<Pool> pool_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_VERSIONS_H_
