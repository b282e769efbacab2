#include "worker/comm/host_reduce.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"

namespace drover {
namespace {

constexpr int kGpus = 3;

// Segments of which the first has two chunks' worth of blocks, so that slices differ and one GPU
// has none.
class HostReduceTest : public testing::Test {
 protected:
  HostReduceTest()
      : layout_(
            Layout::Make({{"a", {8, kBlockElements}, {}}, {"b", {5}, {}}, {"c", {9}, {}}}).value()),
        elements_(layout_.SpanElements(layout_.all_blocks())) {
    emulator::SetDeviceCount(kGpus);
    reduce_ = MakeHostReduce({0, 1, 2}, layout_, 3 * kBlockElements).value();
    EXPECT_EQ(reduce_->segments().blocks, (std::vector<BlockRange>{{0, 2}, {2, 5}, {5, 10}}));
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
  // As a model has it: zeros between tensors. Last layer first; segments in `but` not yet.
  Status Leave(int gpu, uint64_t lease, std::set<size_t> but = {}) {
    std::vector<int64_t> sums(elements_, 0);
    for (const Block& block : layout_.blocks()) {
      for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
        sums[i] = Value(gpu, i, static_cast<int64_t>(lease));
      }
    }
    const auto at = static_cast<size_t>(gpu);
    EXPECT_TRUE(CopyToDevice(streams_[at], sums, sums_[at].data()).ok());
    EXPECT_TRUE(streams_[at].Wait().ok());  // `sums` may go.
    for (size_t segment = reduce_->segments().blocks.size(); segment-- > 0;) {
      if (but.contains(segment)) continue;
      DROVER_RETURN_IF_ERROR(reduce_->Deposit(lease, segment, streams_[at], sums_[at].data()));
    }
    return Status();
  }
  Status FinishAll(uint64_t lease, int64_t* space) {
    for (size_t segment = reduce_->segments().blocks.size(); segment-- > 0;) {
      DROVER_RETURN_IF_ERROR(reduce_->Finish(lease, segment, space));
    }
    return Status();
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

  ASSERT_TRUE(FinishAll(lease, total.data()).ok());

  EXPECT_EQ(total, Expected({0, 1, 2}, lease));
}

// While a GPU still computes the first layers, the last ones are added up.
TEST_F(HostReduceTest, ASegmentNeedsNoOther) {
  const uint64_t lease = reduce_->Begin();
  for (int gpu = 0; gpu < kGpus; ++gpu) ASSERT_TRUE(Leave(gpu, lease, {0, 1}).ok());
  const std::vector<int64_t> expected = Expected({0, 1, 2}, lease);
  const auto as_expected = [&](const std::vector<int64_t>& total, uint32_t from_block) {
    for (uint32_t block = 0; block < layout_.block_count(); ++block) {
      const Block& where = layout_.blocks()[block];
      for (uint64_t i = where.offset; i < where.offset + where.size; ++i) {
        if (total[i] != (block < from_block ? 7 : expected[i])) return false;
      }
    }
    return true;
  };
  std::vector<int64_t> total(elements_, 7);

  ASSERT_TRUE(reduce_->Finish(lease, 2, total.data()).ok());
  EXPECT_TRUE(as_expected(total, reduce_->segments().blocks[2].begin));

  for (int gpu = kGpus; gpu-- > 0;) ASSERT_TRUE(Leave(gpu, lease, {2}).ok());
  ASSERT_TRUE(reduce_->Finish(lease, 0, total.data()).ok());
  ASSERT_TRUE(reduce_->Finish(lease, 1, total.data()).ok());
  EXPECT_TRUE(as_expected(total, 0));
}

// One was slow and has had no leaf of the second lease.
TEST_F(HostReduceTest, AGpuThatLeftNothingAddsNothingOfAnEarlierLease) {
  const uint64_t first = reduce_->Begin();
  for (int gpu = 0; gpu < kGpus; ++gpu) ASSERT_TRUE(Leave(gpu, first).ok());
  const uint64_t second = reduce_->Begin();
  ASSERT_TRUE(Leave(2, second).ok());
  ASSERT_TRUE(Leave(0, second).ok());
  std::vector<int64_t> total(elements_, 0);

  ASSERT_TRUE(FinishAll(second, total.data()).ok());

  EXPECT_EQ(total, Expected({0, 2}, second));
}

TEST_F(HostReduceTest, WhatIsLateForItsLeaseIsRefused) {
  const uint64_t first = reduce_->Begin();
  const uint64_t second = reduce_->Begin();
  ASSERT_TRUE(Leave(1, second).ok());
  std::vector<int64_t> total(elements_, 0);

  EXPECT_EQ(Leave(0, first).code(), Code::kCancelled);
  EXPECT_EQ(FinishAll(first, total.data()).code(), Code::kCancelled);

  ASSERT_TRUE(FinishAll(second, total.data()).ok());
  EXPECT_EQ(total, Expected({1}, second));
}

TEST_F(HostReduceTest, GathersWhatEachGpuHas) {
  constexpr size_t kBytes = 1000;
  const size_t edges[] = {0, 64, 64, kBytes};  // GPU 1 has nothing.
  emulator::ForEachSeed(5, [&](uint64_t seed) {
    std::vector<std::byte> weights(kBytes);
    for (size_t i = 0; i < kBytes; ++i) weights[i] = static_cast<std::byte>(i * 131 + seed);
    std::vector<DeviceBuffer<std::byte>> memory;
    std::vector<HostReduce::Share> shares;
    for (size_t gpu = 0; gpu < kGpus; ++gpu) {
      memory.push_back(DeviceBuffer<std::byte>::Make(static_cast<int>(gpu), kBytes).value());
      const size_t bytes = edges[gpu + 1] - edges[gpu];
      EXPECT_TRUE(ZeroBytes(streams_[gpu], memory[gpu].data(), kBytes).ok());
      EXPECT_TRUE(CopyBytesToDevice(streams_[gpu], memory[gpu].data() + edges[gpu],
                                    weights.data() + edges[gpu], bytes)
                      .ok());
      shares.push_back({&streams_[gpu], memory[gpu].data(), edges[gpu], bytes});
    }
    std::swap(shares[0], shares[2]);

    ASSERT_TRUE(reduce_->Gather(shares).ok());

    for (size_t gpu = 0; gpu < kGpus; ++gpu) {
      std::vector<std::byte> back(kBytes);
      ASSERT_TRUE(CopyToHost<std::byte>(streams_[gpu], memory[gpu].data(), back).ok());
      ASSERT_TRUE(streams_[gpu].Wait().ok());
      EXPECT_TRUE(back == weights) << "GPU " << gpu << ", seed " << seed;
    }
  });
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
