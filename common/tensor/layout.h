// The parameter space of a job: every tensor of the model one after the other in one flat array,
// cut into blocks (placement, partial norms) and chunks (frames). Worker, shard and coordinator
// build it from the same tensor list and compare hashes. Immutable; any thread.

#ifndef DROVER_COMMON_TENSOR_LAYOUT_H_
#define DROVER_COMMON_TENSOR_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

// How a shard fills a tensor before step 0: a pure function of (seed, tensor index, element).
struct InitRule {
  enum class Kind {
    kConstant,       // Every element is `value`.
    kUniform,        // Uniform in [-value, value).
    kNormal,         // Normal with mean 0 and standard deviation `value`.
    kConstantRange,  // `value` in elements [begin, end), 0 elsewhere: the bias of one gate.
  };
  Kind kind = Kind::kConstant;
  float value = 0.0f;
  uint64_t begin = 0;  // kConstantRange, else 0 and 0.
  uint64_t end = 0;

  friend bool operator==(const InitRule&, const InitRule&) = default;
};

struct TensorSpec {
  std::string name;            // [A-Za-z0-9_./-]{1,200}, unique in its layout.
  std::vector<int64_t> shape;  // 1 to 8 dimensions, each at least 1.
  InitRule init;

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

// Half-open ranges of indices.
struct BlockRange {
  uint32_t begin = 0;
  uint32_t end = 0;

  uint32_t size() const { return end - begin; }
  friend auto operator<=>(const BlockRange&, const BlockRange&) = default;
};
struct LeafRange {
  uint32_t begin = 0;
  uint32_t end = 0;

  uint32_t size() const { return end - begin; }
  friend auto operator<=>(const LeafRange&, const LeafRange&) = default;
};

// At most kBlockElements consecutive elements of one tensor; a tensor's last block may be shorter.
struct Block {
  uint32_t tensor;  // Index into tensors().
  uint64_t offset;  // Of its first element in the parameter space.
  uint32_t size;    // Elements.
};

inline constexpr uint32_t kBlockElements = 65536;
// Tensors start at multiples of this (64 bytes of float32); the gap before the next one is zero
// everywhere and belongs to no block.
inline constexpr uint64_t kTensorAlignment = 16;
inline constexpr uint32_t kChunkBlocksMax = 16;
// A chunk of 16 full blocks: 4 MiB of float32. Gaps between tensors count.
inline constexpr uint64_t kChunkElementsMax = uint64_t{kChunkBlocksMax} * kBlockElements;
inline constexpr uint64_t kLayoutElementsMax = uint64_t{1} << 36;
inline constexpr size_t kLayoutTensorsMax = 100'000;

class Layout {
 public:
  // kInvalidArgument naming the tensor when a name, shape or the total is out of bounds.
  static Result<Layout> Make(std::vector<TensorSpec> tensors);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  uint64_t tensor_offset(size_t tensor) const { return offsets_[tensor]; }
  uint64_t tensor_size(size_t tensor) const;      // Elements.
  BlockRange tensor_blocks(size_t tensor) const;  // Its blocks.

  const std::vector<Block>& blocks() const { return blocks_; }
  uint32_t block_count() const { return static_cast<uint32_t>(blocks_.size()); }
  BlockRange all_blocks() const { return {0, block_count()}; }

  uint64_t parameter_count() const { return parameter_count_; }  // Without gaps.

  // Elements from the first block's first element to the last block's last one, gaps between
  // included; 0 for an empty range. This is the length of a chunk's payload.
  uint64_t SpanElements(BlockRange range) const;
  uint64_t SpanOffset(BlockRange range) const { return blocks_[range.begin].offset; }

  // XXH3-64 over names, shapes and init rules, in order.
  uint64_t hash() const { return hash_; }

  // Cuts the blocks that one shard owns into chunks: greedily, in order, at most kChunkBlocksMax
  // blocks and kChunkElementsMax elements each.
  std::vector<BlockRange> Chunks(BlockRange owned) const;

  // Contiguous ranges of blocks for `shards` shards, as even by elements as whole blocks allow.
  // Shards beyond the number of blocks get an empty range.
  std::vector<BlockRange> Place(uint32_t shards) const;

 private:
  std::vector<TensorSpec> tensors_;
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> first_blocks_;  // One more than tensors.
  std::vector<Block> blocks_;
  uint64_t parameter_count_ = 0;
  uint64_t hash_ = 0;
};

// Initial value of elements [first, first + count) of one tensor; `out` holds `count` float32.
void FillInitial(const InitRule& init, uint64_t seed, uint32_t tensor, uint64_t first,
                 uint64_t count, float* out);

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_LAYOUT_H_
