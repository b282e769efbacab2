// What both sides of `drover bench wire` move: one flat tensor in chunks, with a gradient to push
// and weights to pull, and the interface behind which ours and the raw sockets stand. No sockets
// here. Immutable during a run; any thread.

#ifndef DROVER_SERVER_CLI_WIRE_LOAD_H_
#define DROVER_SERVER_CLI_WIRE_LOAD_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/frame.h"
#include "common/tensor/buffer.h"
#include "common/tensor/layout.h"

namespace drover {

enum class WireDirection { kPush, kPull, kBoth };

// Every run moves this many times the whole tensor, so that a pushed step has its first arrival,
// its sums and its mean.
inline constexpr uint32_t kWireLeaves = 4;
inline constexpr int64_t kWireBatch = 64;
// Chunks that a sender may have under way unanswered, per connection.
inline constexpr int kWireWindow = 4;

struct WireChunk {
  BlockRange blocks;
  uint64_t first;  // Element in the tensor.
  uint64_t elements;
};

class WireLoad {
 public:
  // `bytes` of float32 gradient and as many of weights.
  explicit WireLoad(int64_t bytes);

  std::shared_ptr<const Layout> layout() const { return layout_; }
  const std::vector<WireChunk>& chunks() const { return chunks_; }
  // The chunks of one connection: every `channels`-th, beginning with `channel`.
  std::vector<size_t> ChunksOf(int channel, int channels) const;
  uint64_t elements() const { return gradient_.size(); }

  ByteSpan gradient(const WireChunk& chunk) const {
    return std::as_bytes(gradient_.span().subspan(chunk.first, chunk.elements));
  }
  ByteSpan weights(const WireChunk& chunk) const {
    return std::as_bytes(weights_.span().subspan(chunk.first, chunk.elements));
  }
  std::span<const float> all_weights() const { return weights_.span(); }
  // Checksum of a chunk's weights: computed once per version, however many workers pull it.
  uint32_t weights_crc(size_t chunk) const { return weights_crcs_[chunk]; }

 private:
  std::shared_ptr<const Layout> layout_;
  std::vector<WireChunk> chunks_;
  FloatBuffer gradient_;
  FloatBuffer weights_;
  std::vector<uint32_t> weights_crcs_;
};

// One way of moving it: server and client in this process, connections open since construction.
class WireTransport {
 public:
  virtual ~WireTransport() = default;
  // Moves everything kWireLeaves times in each direction asked for; returns when all has been
  // answered and checked. kInternal when something did not arrive as sent.
  virtual Status Run(WireDirection direction) = 0;
  // Sum over the squares of the mean gradient of the last push: equal for equal work.
  virtual double gradient_squares() const = 0;
  // What the last pull brought.
  virtual std::span<const float> pulled() const = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_WIRE_LOAD_H_
