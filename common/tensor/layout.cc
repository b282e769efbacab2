#include "common/tensor/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/base/exact_math.h"
#include "common/base/hash.h"
#include "common/base/philox.h"

namespace drover {
namespace {

bool NameIsValid(const std::string& name) {
  if (name.empty() || name.size() > 200) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/' || c == '-';
  });
}

// Elements of a shape, or 0 when a dimension or the product is out of bounds.
uint64_t ElementsOf(const std::vector<int64_t>& shape) {
  if (shape.empty() || shape.size() > 8) return 0;
  uint64_t elements = 1;
  for (const int64_t extent : shape) {
    if (extent < 1 || static_cast<uint64_t>(extent) > kLayoutElementsMax / elements) return 0;
    elements *= static_cast<uint64_t>(extent);
  }
  return elements;
}

Status CheckTensor(const TensorSpec& tensor) {
  if (!NameIsValid(tensor.name)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("tensor name of {} bytes: expected 1 to 200 of A-Z a-z 0-9 _ . / -",
                              tensor.name.size()));
  }
  if (ElementsOf(tensor.shape) == 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("tensor \"{}\": expected 1 to 8 dimensions of at least 1 with at "
                              "most 2^36 elements in all",
                              tensor.name));
  }
  if (!std::isfinite(tensor.init.value)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("tensor \"{}\": its initial value is not finite", tensor.name));
  }
  const bool ranged = tensor.init.kind == InitRule::Kind::kConstantRange;
  if (ranged ? tensor.init.begin > tensor.init.end || tensor.init.end > ElementsOf(tensor.shape)
             : tensor.init.begin != 0 || tensor.init.end != 0) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("tensor \"{}\": its initial value is for elements [{}, {}), expected "
                    "a range within its {} elements",
                    tensor.name, tensor.init.begin, tensor.init.end, ElementsOf(tensor.shape)));
  }
  return Status();
}

template <typename T>
void AppendBytes(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

uint64_t HashOf(const std::vector<TensorSpec>& tensors) {
  std::string bytes;
  for (const TensorSpec& tensor : tensors) {
    AppendBytes(static_cast<uint32_t>(tensor.name.size()), &bytes);
    bytes += tensor.name;
    AppendBytes(static_cast<uint32_t>(tensor.shape.size()), &bytes);
    for (const int64_t extent : tensor.shape) AppendBytes(extent, &bytes);
    AppendBytes(static_cast<uint32_t>(tensor.init.kind), &bytes);
    AppendBytes(tensor.init.value, &bytes);
    if (tensor.init.kind != InitRule::Kind::kConstantRange) continue;
    AppendBytes(tensor.init.begin, &bytes);
    AppendBytes(tensor.init.end, &bytes);
  }
  return Hash64(bytes.data(), bytes.size());
}

// One random word as an element. The middle of the word's interval: never 0 or 1, symmetric.
float ElementOf(const InitRule& init, uint32_t word) {
  if (init.kind == InitRule::Kind::kUniform) return (2.0f * UnitFloat(word) - 1.0f) * init.value;
  return static_cast<float>(InverseNormal((word + 0.5) * 0x1p-32) * double{init.value});
}

}  // namespace

Result<Layout> Layout::Make(std::vector<TensorSpec> tensors) {
  if (tensors.empty() || tensors.size() > kLayoutTensorsMax) {
    return Status(Code::kInvalidArgument, fmt::format("layout of {} tensors: expected 1 to {}",
                                                      tensors.size(), kLayoutTensorsMax));
  }
  Layout layout;
  std::set<std::string> names;
  uint64_t offset = 0;
  for (size_t t = 0; t < tensors.size(); ++t) {
    DROVER_RETURN_IF_ERROR(CheckTensor(tensors[t]));
    if (!names.insert(tensors[t].name).second) {
      return Status(Code::kInvalidArgument,
                    fmt::format("tensor \"{}\" occurs twice in the layout", tensors[t].name));
    }
    const uint64_t elements = ElementsOf(tensors[t].shape);
    layout.offsets_.push_back(offset);
    layout.first_blocks_.push_back(static_cast<uint32_t>(layout.blocks_.size()));
    for (uint64_t done = 0; done < elements; done += kBlockElements) {
      const uint64_t size = std::min<uint64_t>(kBlockElements, elements - done);
      layout.blocks_.push_back(
          {static_cast<uint32_t>(t), offset + done, static_cast<uint32_t>(size)});
    }
    layout.parameter_count_ += elements;
    offset += (elements + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
    if (offset > kLayoutElementsMax) {
      return Status(Code::kInvalidArgument, "layout of more than 2^36 elements");
    }
  }
  layout.first_blocks_.push_back(static_cast<uint32_t>(layout.blocks_.size()));
  layout.tensors_ = std::move(tensors);
  layout.hash_ = HashOf(layout.tensors_);
  return layout;
}

uint64_t Layout::tensor_size(size_t tensor) const { return ElementsOf(tensors_[tensor].shape); }

BlockRange Layout::tensor_blocks(size_t tensor) const {
  return {first_blocks_[tensor], first_blocks_[tensor + 1]};
}

uint64_t Layout::SpanElements(BlockRange range) const {
  if (range.begin >= range.end) return 0;
  const Block& last = blocks_[range.end - 1];
  return last.offset + last.size - blocks_[range.begin].offset;
}

std::vector<BlockRange> Layout::Chunks(BlockRange owned) const {
  std::vector<BlockRange> chunks;
  for (uint32_t begin = owned.begin; begin < owned.end;) {
    uint32_t end = begin + 1;
    while (end < owned.end && end - begin < kChunkBlocksMax &&
           SpanElements({begin, end + 1}) <= kChunkElementsMax) {
      ++end;
    }
    chunks.push_back({begin, end});
    begin = end;
  }
  return chunks;
}

std::vector<BlockRange> Layout::Place(uint32_t shards) const {
  std::vector<BlockRange> ranges;
  uint64_t placed = 0;
  uint32_t begin = 0;
  for (uint32_t shard = 0; shard < shards; ++shard) {
    // The block that crosses the even share goes to the side where more of it lies.
    const uint64_t target = parameter_count_ * (shard + 1) / shards;
    uint32_t end = begin;
    while (end < block_count() && placed + blocks_[end].size / 2 < target)
      placed += blocks_[end++].size;
    if (shard + 1 == shards) end = block_count();
    ranges.push_back({begin, end});
    begin = end;
  }
  return ranges;
}

void FillInitial(const InitRule& init, uint64_t seed, uint32_t tensor, uint64_t first,
                 uint64_t count, float* out) {
  if (init.kind == InitRule::Kind::kConstant) {
    std::fill(out, out + count, init.value);
    return;
  }
  if (init.kind == InitRule::Kind::kConstantRange) {
    for (uint64_t i = 0; i < count; ++i) {
      out[i] = first + i >= init.begin && first + i < init.end ? init.value : 0.0f;
    }
    return;
  }
  // One Philox call gives four elements: element i is word i mod 4 of counter i / 4.
  for (uint64_t i = 0; i < count;) {
    const uint64_t element = first + i;
    const std::array<uint32_t, 4> words = Philox(seed, tensor, element / 4);
    for (uint64_t lane = element % 4; lane < 4 && i < count; ++lane, ++i) {
      out[i] = ElementOf(init, words[lane]);
    }
  }
}

}  // namespace drover
