// The host side of a GPU. The same tests run on the emulator (tests/unit/common/gpu) and, packed by
// tests/gpu/bundle, on a real one.

#include "common/gpu/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/gpu/require_gpu.h"

namespace drover {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override { DROVER_REQUIRE_GPU(); }
};

std::vector<int64_t> Counting(size_t size) {
  std::vector<int64_t> values(size);
  std::iota(values.begin(), values.end(), int64_t{1} << 40);
  return values;
}

TEST_F(DeviceTest, EveryGpuDescribesItself) {
  const std::vector<GpuInfo> gpus = ListGpus().value();

  for (size_t i = 0; i < gpus.size(); ++i) {
    EXPECT_EQ(gpus[i].index, static_cast<int>(i));
    EXPECT_FALSE(gpus[i].name.empty());
    EXPECT_GE(gpus[i].compute_major, 8) << "kernels are built for 8.0 and later";
    EXPECT_GT(gpus[i].multiprocessors, 0);
    EXPECT_GT(gpus[i].l2_bytes, 0);
    EXPECT_GT(gpus[i].free_bytes, 0);
    EXPECT_LE(gpus[i].free_bytes, gpus[i].total_bytes);
    EXPECT_GE(gpus[i].driver_version, gpus[i].runtime_version);
    EXPECT_GE(gpus[i].runtime_version, 12000);
  }
}

TEST_F(DeviceTest, BytesGoToTheDeviceAndComeBack) {
  const GpuStream stream = GpuStream::Open(0).value();
  for (const size_t size : {size_t{1}, size_t{3}, size_t{65537}, size_t{1} << 20}) {
    const std::vector<int64_t> values = Counting(size);
    const DeviceBuffer<int64_t> device = DeviceBuffer<int64_t>::Make(0, size).value();
    const DeviceBuffer<int64_t> copy = DeviceBuffer<int64_t>::Make(0, size).value();
    const PinnedBuffer<int64_t> back = PinnedBuffer<int64_t>::Make(0, size).value();

    ASSERT_TRUE(CopyToDevice<int64_t>(stream, values, device.data()).ok());
    ASSERT_TRUE(CopyBytesOnDevice(stream, copy.data(), device.data(), device.bytes()).ok());
    ASSERT_TRUE(CopyToHost<int64_t>(stream, copy.data(), back.span()).ok());
    ASSERT_TRUE(stream.Wait().ok());

    EXPECT_TRUE(std::equal(values.begin(), values.end(), back.data()));
    EXPECT_TRUE(stream.Done().value());
  }
}

TEST_F(DeviceTest, ZeroedBytesAreZero) {
  const GpuStream stream = GpuStream::Open(0).value();
  std::vector<int64_t> values = Counting(100);
  const DeviceBuffer<int64_t> device = DeviceBuffer<int64_t>::Make(0, 100).value();
  ASSERT_TRUE(CopyToDevice<int64_t>(stream, values, device.data()).ok());

  ASSERT_TRUE(ZeroBytes(stream, device.data(), 50 * sizeof(int64_t)).ok());

  std::vector<int64_t> expected = values;
  std::fill(expected.begin(), expected.begin() + 50, 0);
  ASSERT_TRUE(CopyToHost<int64_t>(stream, device.data(), values).ok());
  ASSERT_TRUE(stream.Wait().ok());
  EXPECT_EQ(values, expected);
}

TEST_F(DeviceTest, NoBytesNeedNoMemory) {
  const GpuStream stream = GpuStream::Open(0).value();

  const DeviceBuffer<float> device = DeviceBuffer<float>::Make(0, 0).value();
  const PinnedBuffer<float> pinned = PinnedBuffer<float>::Make(0, 0).value();

  EXPECT_EQ(device.data(), nullptr);
  EXPECT_EQ(pinned.data(), nullptr);
  EXPECT_TRUE(CopyToDevice<float>(stream, pinned.span(), device.data()).ok());
  EXPECT_TRUE(CopyToHost<float>(stream, device.data(), pinned.span()).ok());
  EXPECT_TRUE(ZeroBytes(stream, device.data(), 0).ok());
}

TEST_F(DeviceTest, AMovedBufferKeepsItsMemory) {
  DeviceBuffer<float> first = DeviceBuffer<float>::Make(0, 8).value();
  float* const data = first.data();

  DeviceBuffer<float> second = std::move(first);
  first = DeviceBuffer<float>::Make(0, 4).value();
  std::swap(first, second);

  EXPECT_EQ(first.data(), data);
  EXPECT_EQ(first.size(), 8u);
  EXPECT_EQ(second.size(), 4u);
}

TEST_F(DeviceTest, MemoryThatIsNotThereIsAnErrorWithBytesAndChangesNothing) {
  const size_t terabytes = size_t{64} << 40;

  const Status status = DeviceBuffer<std::byte>::Make(0, terabytes).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("70368744177664 bytes on GPU 0"), HasSubstr("are free"),
                    HasSubstr("cudaErrorMemoryAllocation")));
  EXPECT_TRUE(DeviceBuffer<std::byte>::Make(0, 16).ok());
}

TEST_F(DeviceTest, AGpuThatIsNotThereIsAnError) {
  for (const int device : {-1, 1000}) {
    const Status status = GpuStream::Open(device).status();

    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("no GPU " + std::to_string(device) + ": there are "));
  }
  EXPECT_EQ(GpuEvent::Make(1000).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(DeviceBuffer<float>::Make(1000, 1).status().code(), Code::kInvalidArgument);
}

TEST_F(DeviceTest, AStreamWaitsForAMarkInAnother) {
  const size_t size = size_t{1} << 18;
  const GpuStream first = GpuStream::Open(0).value();
  const GpuStream second = GpuStream::Open(0).value();
  GpuEvent written = GpuEvent::Make(0).value();
  const PinnedBuffer<int64_t> values = PinnedBuffer<int64_t>::Make(0, size).value();
  const PinnedBuffer<int64_t> back = PinnedBuffer<int64_t>::Make(0, size).value();
  const DeviceBuffer<int64_t> device = DeviceBuffer<int64_t>::Make(0, size).value();
  for (int64_t round = 0; round < 20; ++round) {
    std::fill_n(values.data(), size, round);

    ASSERT_TRUE(CopyToDevice<int64_t>(first, values.span(), device.data()).ok());
    ASSERT_TRUE(written.Record(first).ok());
    ASSERT_TRUE(written.Hold(second).ok());
    ASSERT_TRUE(CopyToHost<int64_t>(second, device.data(), back.span()).ok());
    ASSERT_TRUE(second.Wait().ok());

    EXPECT_TRUE(written.Done().value());
    EXPECT_EQ(back.data()[size - 1], round);
  }
}

TEST_F(DeviceTest, MarksMeasureTime) {
  const GpuStream stream = GpuStream::Open(0).value();
  GpuEvent begin = GpuEvent::Make(0, GpuEvent::Timing::kOn).value();
  GpuEvent end = GpuEvent::Make(0, GpuEvent::Timing::kOn).value();
  const DeviceBuffer<float> device = DeviceBuffer<float>::Make(0, 1000).value();

  ASSERT_TRUE(begin.Record(stream).ok());
  ASSERT_TRUE(ZeroBytes(stream, device.data(), device.bytes()).ok());
  ASSERT_TRUE(end.Record(stream).ok());
  ASSERT_TRUE(end.Wait().ok());

  EXPECT_GE(GpuEvent::Milliseconds(begin, end).value(), 0.0);
}

TEST_F(DeviceTest, MarksWithoutTimingRefuseToMeasure) {
  const GpuStream stream = GpuStream::Open(0).value();
  GpuEvent mark = GpuEvent::Make(0).value();
  ASSERT_TRUE(mark.Record(stream).ok());
  ASSERT_TRUE(mark.Wait().ok());

  EXPECT_THAT(GpuEvent::Milliseconds(mark, mark).status().message(), HasSubstr("Timing::kOn"));
}

TEST_F(DeviceTest, AGraphDoesTheSameEachTime) {
  const GpuStream stream = GpuStream::Open(0).value();
  const DeviceBuffer<int64_t> from = DeviceBuffer<int64_t>::Make(0, 64).value();
  const DeviceBuffer<int64_t> to = DeviceBuffer<int64_t>::Make(0, 64).value();
  const PinnedBuffer<int64_t> host = PinnedBuffer<int64_t>::Make(0, 64).value();
  ASSERT_TRUE(ZeroBytes(stream, to.data(), to.bytes()).ok());
  std::iota(host.data(), host.data() + 64, int64_t{5});

  const GpuGraph graph =
      GpuGraph::Capture(stream, [&] {
        DROVER_RETURN_IF_ERROR(CopyToDevice<int64_t>(stream, host.span(), from.data()));
        return CopyBytesOnDevice(stream, to.data(), from.data(), from.bytes());
      }).value();

  EXPECT_EQ(graph.node_count(), 2u);
  std::vector<int64_t> back(64, -1);
  ASSERT_TRUE(CopyToHost<int64_t>(stream, to.data(), back).ok());
  ASSERT_TRUE(stream.Wait().ok());
  EXPECT_EQ(back[0], 0) << "recording does nothing";
  for (int64_t round = 0; round < 3; ++round) {
    std::iota(host.data(), host.data() + 64, 100 * round);
    ASSERT_TRUE(graph.Launch(stream).ok());
    ASSERT_TRUE(CopyToHost<int64_t>(stream, to.data(), back).ok());
    ASSERT_TRUE(stream.Wait().ok());
    EXPECT_EQ(back[63], 100 * round + 63);
  }
}

TEST_F(DeviceTest, AFailedRecordingPassesTheErrorOnAndLeavesTheStreamUsable) {
  const GpuStream stream = GpuStream::Open(0).value();

  const Status status =
      GpuGraph::Capture(stream, [] { return Status(Code::kAborted, "changed my mind"); }).status();

  EXPECT_EQ(status.message(), "changed my mind");
  EXPECT_TRUE(stream.Wait().ok());
}

}  // namespace
}  // namespace drover
