#include "server/shard/versions.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "common/base/thread.h"

namespace drover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(WeightBuffersTest, TwoBuffersTakeTurns) {
  WeightBuffers buffers(100);
  std::shared_ptr<FloatBuffer> first = buffers.Acquire(seconds(0));
  std::shared_ptr<FloatBuffer> second = buffers.Acquire(seconds(0));
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  const FloatBuffer* const memory = first.get();

  first.reset();
  first = buffers.Acquire(seconds(0));

  EXPECT_EQ(first.get(), memory);
  EXPECT_EQ(buffers.bytes(), 2 * 100 * sizeof(float));
}

TEST(WeightBuffersTest, NewBuffersAreZero) {
  WeightBuffers buffers(3);

  const std::shared_ptr<FloatBuffer> buffer = buffers.Acquire(seconds(0));

  for (const float value : buffer->span()) EXPECT_EQ(value, 0.0f);
}

TEST(WeightBuffersTest, ABufferThatIsReadIsNotGivenOut) {
  WeightBuffers buffers(1);
  const std::shared_ptr<const FloatBuffer> first = buffers.Acquire(seconds(0));
  const std::shared_ptr<const FloatBuffer> second = buffers.Acquire(seconds(0));

  EXPECT_EQ(buffers.Acquire(milliseconds(1)), nullptr);
}

TEST(WeightBuffersTest, WaitsForAReaderOnAnotherThread) {
  WeightBuffers buffers(1);
  std::shared_ptr<const FloatBuffer> first = buffers.Acquire(seconds(0));
  const std::shared_ptr<const FloatBuffer> second = buffers.Acquire(seconds(0));
  const void* const memory = first.get();

  Thread reader("reader", [held = std::exchange(first, nullptr)]() mutable { held.reset(); });
  const std::shared_ptr<FloatBuffer> third = buffers.Acquire(seconds(30));

  EXPECT_EQ(third.get(), memory);
}

TEST(WeightBuffersTest, AnExtraBufferIsFreedAfterUse) {
  WeightBuffers buffers(10);
  const std::shared_ptr<FloatBuffer> first = buffers.Acquire(seconds(0));
  const std::shared_ptr<FloatBuffer> second = buffers.Acquire(seconds(0));

  std::shared_ptr<FloatBuffer> extra = buffers.AcquireExtra();
  EXPECT_EQ(buffers.bytes(), 3 * 10 * sizeof(float));
  extra.reset();

  EXPECT_EQ(buffers.bytes(), 2 * 10 * sizeof(float));
  EXPECT_EQ(buffers.Acquire(seconds(0)), nullptr);
}

TEST(WeightBuffersTest, AReaderMayOutliveTheOwner) {
  std::shared_ptr<FloatBuffer> buffer;
  {
    WeightBuffers buffers(10);
    buffer = buffers.Acquire(seconds(0));
    buffer->data()[9] = 3.0f;
  }

  EXPECT_EQ(buffer->data()[9], 3.0f);
}

}  // namespace
}  // namespace drover
