// GradientSums in host memory: 8 bytes per element. A chunk that has all leaves is converted in
// place: its mean gradient takes the front half of its sums. Threads: see gradient_sums.h.

#ifndef DROVER_SERVER_SHARD_HOST_GRADIENT_SUMS_H_
#define DROVER_SERVER_SHARD_HOST_GRADIENT_SUMS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/tensor/buffer.h"
#include "common/tensor/fixed_point.h"
#include "common/tensor/layout.h"
#include "server/shard/gradient_sums.h"

namespace drover {

class HostGradientSums : public GradientSums {
 public:
  HostGradientSums(std::shared_ptr<const Layout> layout, BlockRange owned);

  PayloadOutcome Sum(size_t chunk, const ReceivedFrame& frame, const PayloadRules& rules) override;
  void ToMean(size_t chunk, double factor) override;
  void LoadMean(size_t chunk, std::span<const float> mean) override;
  std::span<const float> mean(size_t chunk) const override;
  const std::vector<double>& block_squares() const override { return block_squares_; }
  size_t bytes() const override { return sums_.bytes(); }

 private:
  struct Chunk {
    BlockRange blocks;
    uint64_t first = 0;     // Index of its first element in sums_.
    uint64_t elements = 0;  // Gaps between tensors included.
  };

  const std::shared_ptr<const Layout> layout_;
  const BlockRange owned_;
  const FixedPointPasses& passes_;
  std::vector<Chunk> chunks_;
  Buffer<int64_t> sums_;
  std::vector<double> block_squares_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_HOST_GRADIENT_SUMS_H_
