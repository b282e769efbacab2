// Where the shard under test computes. The same tests are linked twice: with host_test_device.cc,
// and with emulated_test_device.cc, where the GPU code runs on the emulator.

#ifndef DROVER_TESTS_UNIT_SERVER_SHARD_TEST_DEVICE_H_
#define DROVER_TESTS_UNIT_SERVER_SHARD_TEST_DEVICE_H_

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "server/shard/accumulator.h"
#include "server/shard/shard_device.h"
#include "server/shard/step_engine.h"

namespace drover {

// `threads`: for passes over weights in host memory.
std::shared_ptr<const ShardDevice> TestDevice(int threads = 1);

// Accumulator and engine of one range, without files or votes.
struct TestRange {
  explicit TestRange(const PlaceOrder& place, int threads = 1) {
    Result<RangeArrays> arrays = TestDevice(threads)->MakeRange(place);
    EXPECT_TRUE(arrays.ok()) << arrays.status().ToString();
    AccumulatorOptions options;
    options.job = place.job;
    options.owned = place.blocks;
    options.shapes = place.shapes;
    options.fraction_bits = place.fraction_bits;
    accumulator = Accumulator::Make(place.layout, options, std::move(arrays.value().sums)).value();
    engine = std::make_unique<StepEngine>(place.layout, place.blocks, place.rule, threads,
                                          place.publish_bf16, std::move(arrays.value().weights));
    engine->FillFromSeed(place.seed);
    engine->Begin(/*version=*/0, /*applied=*/0);
  }

  std::unique_ptr<Accumulator> accumulator;
  std::unique_ptr<StepEngine> engine;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_SHARD_TEST_DEVICE_H_
