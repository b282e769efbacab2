// What a real device cannot be made to do: be short of memory, missing, or two.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/gpu/device.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace drover {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class EmulatedDeviceTest : public ::testing::Test {
 protected:
  void TearDown() override { emulator::SetDeviceCount(1); }
};

TEST_F(EmulatedDeviceTest, PinnedMemoryThatIsNotThereIsAnError) {
  emulator::FailNextAllocation();

  const Status status = PinnedBuffer<float>::Make(0, 100).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("400 bytes of pinned host memory"),
                                      HasSubstr("cudaErrorMemoryAllocation: out of memory")));
  EXPECT_TRUE(PinnedBuffer<float>::Make(0, 100).ok());
}

TEST_F(EmulatedDeviceTest, EverythingIsFreed) {
  const int64_t before = emulator::AllocationCount();
  {
    DeviceBuffer<float> device = DeviceBuffer<float>::Make(0, 10).value();
    PinnedBuffer<float> pinned = PinnedBuffer<float>::Make(0, 10).value();
    device = DeviceBuffer<float>::Make(0, 20).value();
    EXPECT_EQ(emulator::AllocationCount(), before + 2);
  }
  EXPECT_EQ(emulator::AllocationCount(), before);
}

TEST_F(EmulatedDeviceTest, WithoutDevicesEveryWayInSaysSo) {
  emulator::SetDeviceCount(0);

  for (const Status &status : {ListGpus().status(), GpuStream::Open(0).status(),
                               DeviceBuffer<float>::Make(0, 1).status()}) {
    EXPECT_THAT(status.message(), HasSubstr("no NVIDIA driver"));
  }
}

TEST_F(EmulatedDeviceTest, MemoryIsReservedWhileItsBufferLives) {
  emulator::SetDeviceCount(2);
  const GpuMemoryUse before = ReadGpuMemoryUse(1).value();
  {
    DeviceBuffer<int64_t> buffer = DeviceBuffer<int64_t>::Make(1, 1000).value();
    const DeviceBuffer<int64_t> moved = std::move(buffer);
    const PinnedBuffer<int64_t> pinned = PinnedBuffer<int64_t>::Make(1, 1000).value();
    const GpuMemoryUse use = ReadGpuMemoryUse(1).value();
    EXPECT_EQ(use.reserved - before.reserved, 8000);
    EXPECT_GE(use.used - before.used, 8000);
    EXPECT_EQ(use.total, ListGpus().value()[1].total_bytes);
    EXPECT_EQ(ReadGpuMemoryUse(0).value().reserved, 0);
  }
  EXPECT_EQ(ReadGpuMemoryUse(1).value().reserved, before.reserved);
  EXPECT_EQ(ReadGpuMemoryUse(2).status().code(), Code::kInvalidArgument);
}

TEST_F(EmulatedDeviceTest, TheClockIsKnown) {
  EXPECT_EQ(ListGpus().value()[0].clock_hz, 1'000'000'000);
}

TEST_F(EmulatedDeviceTest, AStreamWaitsForAMarkOnAnotherDevice) {
  emulator::SetDeviceCount(2);
  EXPECT_EQ(ListGpus().value().size(), 2u);
  emulator::ForEachSeed(20, [](uint64_t seed) {
    const GpuStream first = GpuStream::Open(0).value();
    const GpuStream second = GpuStream::Open(1).value();
    GpuEvent sent = GpuEvent::Make(0).value();
    const PinnedBuffer<int64_t> middle = PinnedBuffer<int64_t>::Make(0, 1).value();
    const DeviceBuffer<int64_t> from = DeviceBuffer<int64_t>::Make(0, 1).value();
    const DeviceBuffer<int64_t> to = DeviceBuffer<int64_t>::Make(1, 1).value();
    const std::vector<int64_t> value = {static_cast<int64_t>(seed) + 1};
    std::vector<int64_t> back(1);

    ASSERT_TRUE(CopyToDevice<int64_t>(first, value, from.data()).ok());
    ASSERT_TRUE(CopyToHost<int64_t>(first, from.data(), middle.span()).ok());
    ASSERT_TRUE(sent.Record(first).ok());
    ASSERT_TRUE(sent.Hold(second).ok());
    ASSERT_TRUE(CopyToDevice<int64_t>(second, middle.span(), to.data()).ok());
    ASSERT_TRUE(CopyToHost<int64_t>(second, to.data(), back).ok());
    ASSERT_TRUE(second.Wait().ok());

    EXPECT_EQ(back, value);
  });
}

}  // namespace
}  // namespace drover
