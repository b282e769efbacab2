#include "server/shard/host_weight_arrays.h"

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <vector>

#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {
namespace {

// Large enough that threads get a part each.
TEST(HostWeightArraysTest, TheSplitOverThreadsChangesNoBit) {
  const std::shared_ptr<const Layout> layout = SlowJobLayout(int64_t{2} << 20);
  const PlaceOrder place = SlowJobPlace(layout);
  const UpdateNumbers numbers = SlowJobNumbers(*layout, 1);
  std::vector<float> weights;
  std::vector<double> squares;
  for (const int threads : {1, 3, 64}) {
    const TestRange range(place, threads);
    range.accumulator->Open(place.epoch, /*step=*/0);
    ASSERT_TRUE(FillStep(range.accumulator.get(), /*step=*/0));
    const MeasuredSquares measured = range.engine->Measure(numbers, *range.accumulator);
    ASSERT_TRUE(range.engine->ReserveNext(Duration(0)));
    range.engine->Apply(numbers, *range.accumulator);

    const std::span<const float> current = range.engine->current()->weights->span();
    const std::vector<float> served(current.begin(), current.end());
    if (threads == 1) {
      weights = served;
      squares = measured.direction;
    }
    EXPECT_EQ(served, weights) << threads << " threads";
    EXPECT_EQ(measured.direction, squares) << threads << " threads";
  }
}

}  // namespace
}  // namespace drover
