#include "server/shard/range_memory.h"

namespace drover {
namespace {

constexpr uint64_t kVersions = 3;

}  // namespace

uint64_t RangeBytes(const PlaceOrder& place) {
  const uint64_t elements = place.layout->SpanElements(place.blocks);
  const uint64_t arrays = kVersions + static_cast<uint64_t>(place.rule.arrays());
  return elements *
         (sizeof(int64_t) + arrays * sizeof(float) + (place.publish_bf16 ? sizeof(uint16_t) : 0));
}

}  // namespace drover
