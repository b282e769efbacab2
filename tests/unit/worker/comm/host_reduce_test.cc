#include "worker/comm/host_reduce.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"

namespace drover {
namespace {

constexpr int kGpus = 3;

// Two chunks' worth of blocks, so that slices differ and one GPU has none.
class HostReduceTest : public testing::Test {
 protected:
  HostReduceTest()
      : layout_(Layout::Make({{"a", {17, kBlockElements}, {}}, {"b", {5}, {}}, {"c", {9}, {}}})
                    .value()),
        elements_(layout_.SpanElements(layout_.all_blocks())) {
    emulator::SetDeviceCount(kGpus);
    reduce_ = MakeHostReduce({0, 1, 2}, layout_).value();
    for (int gpu = 0; gpu < kGpus; ++gpu) {
      streams_.push_back(GpuStream::Open(gpu).value());
      sums_.push_back(DeviceBuffer<int64_t>::Make(gpu, elements_).value());
    }
  }
  ~HostReduceTest() override {
    sums_.clear();
    streams_.clear();
    reduce_.reset();
    emulator::SetDeviceCount(1);
  }

  static int64_t Value(int gpu, uint64_t element, int64_t lease) {
    return (static_cast<int64_t>(element) % 1000 + 1) * (gpu + 1) * (lease % 2 == 0 ? -1 : 3);
  }
  // As a model has it: zeros between tensors.
  Status Leave(int gpu, uint64_t lease) {
    std::vector<int64_t> sums(elements_, 0);
    for (const Block& block : layout_.blocks()) {
      for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
        sums[i] = Value(gpu, i, static_cast<int64_t>(lease));
      }
    }
    const auto at = static_cast<size_t>(gpu);
    EXPECT_TRUE(CopyToDevice(streams_[at], sums, sums_[at].data()).ok());
    EXPECT_TRUE(streams_[at].Wait().ok());  // `sums` may go.
    return reduce_->Deposit(lease, streams_[at], sums_[at].data());
  }
  std::vector<int64_t> Expected(const std::vector<int>& gpus, uint64_t lease) const {
    std::vector<int64_t> sums(elements_, 0);
    for (const Block& block : layout_.blocks()) {
      for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
        for (const int gpu : gpus) sums[i] += Value(gpu, i, static_cast<int64_t>(lease));
      }
    }
    return sums;
  }

  const Layout layout_;
  const uint64_t elements_;
  std::shared_ptr<HostReduce> reduce_;
  std::vector<GpuStream> streams_;
  std::vector<DeviceBuffer<int64_t>> sums_;
};

TEST_F(HostReduceTest, AddsUpWhatEveryGpuLeft) {
  const uint64_t lease = reduce_->Begin();
  for (int gpu = 0; gpu < kGpus; ++gpu) ASSERT_TRUE(Leave(gpu, lease).ok());
  std::vector<int64_t> total(elements_, 0);

  ASSERT_TRUE(reduce_->Finish(lease, total.data()).ok());

  EXPECT_EQ(total, Expected({0, 1, 2}, lease));
}

// One was slow and has had no leaf of the second lease.
TEST_F(HostReduceTest, AGpuThatLeftNothingAddsNothingOfAnEarlierLease) {
  const uint64_t first = reduce_->Begin();
  for (int gpu = 0; gpu < kGpus; ++gpu) ASSERT_TRUE(Leave(gpu, first).ok());
  const uint64_t second = reduce_->Begin();
  ASSERT_TRUE(Leave(2, second).ok());
  ASSERT_TRUE(Leave(0, second).ok());
  std::vector<int64_t> total(elements_, 0);

  ASSERT_TRUE(reduce_->Finish(second, total.data()).ok());

  EXPECT_EQ(total, Expected({0, 2}, second));
}

TEST_F(HostReduceTest, WhatIsLateForItsLeaseIsRefused) {
  const uint64_t first = reduce_->Begin();
  const uint64_t second = reduce_->Begin();
  ASSERT_TRUE(Leave(1, second).ok());
  std::vector<int64_t> total(elements_, 0);

  EXPECT_EQ(Leave(0, first).code(), Code::kCancelled);
  EXPECT_EQ(reduce_->Finish(first, total.data()).code(), Code::kCancelled);

  ASSERT_TRUE(reduce_->Finish(second, total.data()).ok());
  EXPECT_EQ(total, Expected({1}, second));
}

}  // namespace
}  // namespace drover
