// What the memory and the copy engines of this GPU can do: what every other speed is compared with.
// Checks that the bytes arrive, then times. Each figure is the median of several rounds.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "tests/gpu/require_gpu.h"

namespace drover {
namespace {

constexpr size_t kBytes = size_t{1} << 30;  // Far beyond any L2.
constexpr int kRounds = 11;

// Median seconds, on the device's own clock, of what `enqueue` puts into `stream`.
double MedianSeconds(const GpuStream& stream, const std::function<Status()>& enqueue) {
  GpuEvent begin = GpuEvent::Make(stream.device(), GpuEvent::Timing::kOn).value();
  GpuEvent end = GpuEvent::Make(stream.device(), GpuEvent::Timing::kOn).value();
  std::vector<double> seconds;
  for (int round = 0; round < kRounds; ++round) {
    EXPECT_TRUE(begin.Record(stream).ok());
    EXPECT_TRUE(enqueue().ok());
    EXPECT_TRUE(end.Record(stream).ok());
    EXPECT_TRUE(end.Wait().ok());
    seconds.push_back(GpuEvent::Milliseconds(begin, end).value() / 1000);
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  return seconds[kRounds / 2];
}

void Print(const char* name, double bytes, double seconds, const char* counted) {
  fmt::print("figure {} {:.1f} GB/s, {}\n", name, bytes / seconds / 1e9, counted);
}

TEST(CopyBench, OnTheDeviceAndBothWays) {
  DROVER_REQUIRE_GPU();
  const GpuStream stream = GpuStream::Open(0).value();
  const GpuStream other = GpuStream::Open(0).value();
  GpuEvent fork = GpuEvent::Make(0).value();
  GpuEvent join = GpuEvent::Make(0).value();
  const auto first = DeviceBuffer<std::byte>::Make(0, kBytes).value();
  const auto second = DeviceBuffer<std::byte>::Make(0, kBytes).value();
  const auto host = PinnedBuffer<std::byte>::Make(0, kBytes).value();
  const auto back = PinnedBuffer<std::byte>::Make(0, kBytes).value();
  for (size_t i = 0; i < kBytes; ++i) host.data()[i] = static_cast<std::byte>(i * 31 >> 8);
  const auto upload = [&] { return CopyToDevice<std::byte>(stream, host.span(), first.data()); };
  const auto copy = [&] { return CopyBytesOnDevice(stream, second.data(), first.data(), kBytes); };
  const auto download = [&] { return CopyToHost<std::byte>(stream, second.data(), back.span()); };
  ASSERT_TRUE(upload().ok() && copy().ok() && download().ok() && stream.Wait().ok());
  ASSERT_TRUE(std::equal(host.data(), host.data() + kBytes, back.data()));

  Print("copy_on_device", 2.0 * kBytes, MedianSeconds(stream, copy), "bytes read and written");
  Print("copy_to_device", kBytes, MedianSeconds(stream, upload), "from pinned memory");
  Print("copy_to_host", kBytes, MedianSeconds(stream, download), "into pinned memory");
  const double both = MedianSeconds(stream, [&] {
    DROVER_RETURN_IF_ERROR(fork.Record(stream));
    DROVER_RETURN_IF_ERROR(fork.Hold(other));
    DROVER_RETURN_IF_ERROR(upload());
    DROVER_RETURN_IF_ERROR(CopyToHost<std::byte>(other, second.data(), back.span()));
    DROVER_RETURN_IF_ERROR(join.Record(other));
    return join.Hold(stream);
  });
  Print("copy_both_ways_at_once", 2.0 * kBytes, both, "both directions added");
}

}  // namespace
}  // namespace drover
