// Orders: that seeds differ, that one seed is always the same, and that host threads may share the
// emulated device.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/thread.h"
#include "common/gpu/kernel.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/common/gpu/emulator_run.h"

namespace drover {
namespace {

using ::testing::ElementsAre;

constexpr unsigned int kThreads = 33;
constexpr unsigned int kBlocks = 6;
using Order = std::vector<unsigned int>;

// order[i]: which thread of the grid came as the i-th.
__global__ void OrderKernel(unsigned int* next, unsigned int* order) {
  order[AddInteger(next, 1)] = blockIdx.x * blockDim.x + threadIdx.x;
}

Order OrderUnder(uint64_t seed) {
  emulator::SetSeed(seed);
  OnDevice<unsigned int> next({0});
  OnDevice<unsigned int> order(Order(kBlocks * kThreads, 0));
  DROVER_LAUNCH(OrderKernel, kBlocks, kThreads, 0, nullptr, next.get(), order.get());
  const Order result = order.Read();
  emulator::SetSeed(0);
  return result;
}

TEST(EmulatorOrderTest, ASeedGivesTheSameOrderEveryTimeAndAllThreadsOnce) {
  std::set<Order> orders;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const Order order = OrderUnder(seed);
    EXPECT_EQ(order, OrderUnder(seed));
    EXPECT_EQ(std::set<unsigned int>(order.begin(), order.end()).size(), kBlocks * kThreads);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 30u);
}

TEST(EmulatorOrderTest, TheFirstSeedsGoForwardAndBackward) {
  const Order forward = OrderUnder(0);
  const Order backward = OrderUnder(1);
  for (unsigned int i = 0; i < forward.size(); ++i) {
    EXPECT_EQ(forward[i], i);
    EXPECT_EQ(backward[i] % kThreads, kThreads - 1 - i % kThreads);
  }
}

TEST(EmulatorOrderTest, BlocksOverlapUnderSomeSeeds) {
  bool overlap = false;
  for (uint64_t seed = 2; seed < 30; ++seed) {
    const Order order = OrderUnder(seed);
    const auto block_of = [&](size_t i) { return order[i] / kThreads; };
    for (size_t i = 2; i < order.size(); ++i) {
      for (size_t j = 1; j + 1 < i; ++j) {
        if (block_of(i) == block_of(0) && block_of(j) != block_of(0)) overlap = true;
      }
    }
  }
  EXPECT_TRUE(overlap);
}

__global__ void CountKernel(int* counts) {
  DROVER_SHARED_ARRAY(int, shared, kThreads);
  shared[threadIdx.x] = 1;
  __syncthreads();
  counts[threadIdx.x] += shared[kThreads - 1 - threadIdx.x];
}

TEST(EmulatorOrderTest, HostThreadsMayEachHaveAStream) {
  constexpr int kHostThreads = 4;
  constexpr int kLaunches = 20;
  emulator::SetSeed(7);
  std::vector<std::unique_ptr<OnDevice<int>>> counts;
  for (int i = 0; i < kHostThreads; ++i) {
    counts.push_back(std::make_unique<OnDevice<int>>(std::vector<int>(kThreads, 0)));
  }
  {
    std::vector<Thread> threads;
    for (const std::unique_ptr<OnDevice<int>>& own : counts) {
      threads.emplace_back("host", [&own] {
        cudaStream_t stream = nullptr;
        EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
        for (int launch = 0; launch < kLaunches; ++launch) {
          DROVER_LAUNCH(CountKernel, 1, kThreads, 0, stream, own->get());
        }
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
      });
    }
  }
  for (const std::unique_ptr<OnDevice<int>>& own : counts) {
    EXPECT_EQ(own->Read(), std::vector<int>(kThreads, kLaunches));
  }
  EXPECT_THAT(emulator::TakeErrors(), ElementsAre());
  emulator::SetSeed(0);
}

}  // namespace
}  // namespace drover
