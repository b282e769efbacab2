#include "server/shard/range_memory.h"

#include <gtest/gtest.h>

#include "tests/unit/server/shard/slow_job.h"

namespace drover {
namespace {

TEST(RangeBytesTest, SumsVersionsAndTheArraysOfTheRule) {
  const auto layout = SlowJobLayout(1000);
  const uint64_t elements = layout->SpanElements(layout->all_blocks());
  PlaceOrder place = SlowJobPlace(layout, 1, Rule::kLamb);  // Two moments.
  EXPECT_EQ(RangeBytes(place), elements * (8 + 3 * 4 + 2 * 4));
  place.publish_bf16 = true;
  place.rule = Rule::kSgd;
  EXPECT_EQ(RangeBytes(place), elements * (8 + 3 * 4 + 2));
}

}  // namespace
}  // namespace drover
