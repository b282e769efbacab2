// Launches, tickets, cooperative waits and shared memory give the bits of a plain loop, also as a
// graph. On the emulator (tests/unit/common/gpu) and on a real GPU.

#include <gtest/gtest.h>

#include <vector>

#include "common/base/philox.h"
#include "tests/gpu/launch_gpu.h"
#include "tests/gpu/require_gpu.h"

namespace drover {
namespace {

// Of any size and sign, so that another order of the additions shows.
std::vector<float> Values(size_t size) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) {
    const auto words = Philox(/*seed=*/3, /*stream=*/0, i);
    const float scale = static_cast<float>(1u << words[1] % 24);
    values[i] = (static_cast<float>(words[0]) * 0x1p-31f - 1.0f) * scale;
  }
  return values;
}

double OrderedSum(const std::vector<float>& values) {
  double sum = 0;
  for (size_t begin = 0; begin < values.size(); begin += kOrderedSumTile) {
    const size_t end = std::min(begin + kOrderedSumTile, values.size());
    double tile = 0;
    for (size_t thread = 0; thread < kOrderedSumThreads; ++thread) {
      double own = 0;
      for (size_t i = begin + thread; i < end; i += kOrderedSumThreads) own += values[i];
      tile += own;
    }
    sum += tile;
  }
  return sum;
}

struct Work {
  explicit Work(size_t size)
      : values(Values(size)),
        device(DeviceBuffer<float>::Make(0, size).value()),
        sum(DeviceBuffer<double>::Make(0, 1).value()),
        tickets(DeviceBuffer<uint32_t>::Make(0, 2).value()) {}

  std::vector<float> values;
  DeviceBuffer<float> device;
  DeviceBuffer<double> sum;
  DeviceBuffer<uint32_t> tickets;
};

TEST(LaunchTest, BlocksThatWaitForEachOtherGiveTheBitsOfALoop) {
  DROVER_REQUIRE_GPU();
  const GpuStream stream = GpuStream::Open(0).value();
  for (const size_t size : {size_t{1}, size_t{1025}, size_t{5000}}) {
    for (const int blocks : {1, 5}) {
      Work work(size);
      std::vector<double> sum(1);

      ASSERT_TRUE(CopyToDevice<float>(stream, work.values, work.device.data()).ok());
      ASSERT_TRUE(EnqueueOrderedSum(stream, work.device.data(), size, work.sum.data(),
                                    work.tickets.data(), blocks)
                      .ok());
      ASSERT_TRUE(CopyToHost<double>(stream, work.sum.data(), sum).ok());
      ASSERT_TRUE(stream.Wait().ok());

      EXPECT_EQ(sum[0], OrderedSum(work.values)) << size << " values, " << blocks << " blocks";
    }
  }
}

TEST(LaunchTest, AGraphOfALaunchCanBeRepeated) {
  DROVER_REQUIRE_GPU();
  const GpuStream stream = GpuStream::Open(0).value();
  Work work(5000);
  ASSERT_TRUE(CopyToDevice<float>(stream, work.values, work.device.data()).ok());
  const GpuGraph graph = GpuGraph::Capture(stream, [&] {
                           return EnqueueOrderedSum(stream, work.device.data(), 5000,
                                                    work.sum.data(), work.tickets.data(), 4);
                         }).value();
  EXPECT_EQ(graph.node_count(), 3u);  // Two clears and a kernel.
  for (int round = 0; round < 3; ++round) {
    std::vector<double> sum(1);

    ASSERT_TRUE(graph.Launch(stream).ok());
    ASSERT_TRUE(CopyToHost<double>(stream, work.sum.data(), sum).ok());
    ASSERT_TRUE(stream.Wait().ok());

    EXPECT_EQ(sum[0], OrderedSum(work.values));
  }
}

TEST(LaunchTest, ALaunchThatNoDeviceAcceptsIsAnErrorAndNothingElse) {
  DROVER_REQUIRE_GPU();
  const GpuStream stream = GpuStream::Open(0).value();
  Work work(10);

  const Status status = EnqueueOrderedSum(stream, work.device.data(), 10, work.sum.data(),
                                          work.tickets.data(), /*blocks=*/0);

  EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
  EXPECT_TRUE(stream.Wait().ok());
}

}  // namespace
}  // namespace drover
