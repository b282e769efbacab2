// Kernels in the shapes that our own have, which must give one result whatever the order: if the
// emulator refused one of these, it would refuse correct code.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "common/gpu/kernel.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/common/gpu/emulator_run.h"

namespace drover {
namespace {

constexpr unsigned int kThreads = 96;
constexpr unsigned int kAllLanes = 0xffffffffu;

// The sum over the block: lanes of a warp by shuffles, warps through shared memory. Everybody gets
// it. `warp_sums`: [kThreads / 32].
template <typename Array>
__device__ double SumOverBlock(double value, Array& warp_sums) {
  for (unsigned int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_down_sync(kAllLanes, value, distance);
  }
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (unsigned int warp = 0; warp < kThreads / 32; ++warp) sum += warp_sums[warp];
  return sum;
}

__global__ void __launch_bounds__(kThreads)
    PartialSumsKernel(const float* values, unsigned int size, double* partials) {
  DROVER_SHARED_ARRAY(double, warp_sums, kThreads / 32);
  const unsigned int i = blockIdx.x * kThreads + threadIdx.x;
  const double sum = SumOverBlock(i < size ? double{values[i]} : 0.0, warp_sums);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

TEST(EmulatorReductionTest, SumsOfBlocksAreTheSameInEveryOrder) {
  constexpr unsigned int kSize = 1000;
  constexpr unsigned int kBlocks = (kSize + kThreads - 1) / kThreads;
  std::vector<float> values(kSize);
  for (unsigned int i = 0; i < kSize; ++i) values[i] = 1.0f / static_cast<float>(i + 1);
  std::vector<double> first;

  emulator::ForEachSeed(50, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<float> input(values);
    OnDevice<double> partials(std::vector<double>(kBlocks, -1.0));
    DROVER_LAUNCH(PartialSumsKernel, kBlocks, kThreads, 0, nullptr, input.get(), kSize,
                  partials.get());
    const std::vector<double> sums = partials.Read();
    if (seed == 0) first = sums;
    EXPECT_EQ(sums, first);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
  double sum = 0;
  for (const double partial : first) sum += partial;
  EXPECT_NEAR(sum, 7.485470860550345, 1e-6);  // The harmonic number of 1000; values are rounded.
}

// As above, and the block that is done last adds the partial sums in the order of blocks.
__global__ void __launch_bounds__(kThreads)
    SumKernel(const float* values, unsigned int size, double* partials, unsigned int* done,
              double* sum) {
  DROVER_SHARED_ARRAY(double, warp_sums, kThreads / 32);
  DROVER_SHARED_ARRAY(int, is_last, 1);
  const unsigned int i = blockIdx.x * kThreads + threadIdx.x;
  const double partial = SumOverBlock(i < size ? double{values[i]} : 0.0, warp_sums);
  if (threadIdx.x == 0) {
    partials[blockIdx.x] = partial;
    __threadfence();
    is_last[0] = AddInteger(done, 1) + 1 == gridDim.x;
    __threadfence();
  }
  __syncthreads();
  if (is_last[0] != 0 && threadIdx.x == 0) {
    double total = 0;
    for (unsigned int block = 0; block < gridDim.x; ++block) total += partials[block];
    *sum = total;
  }
}

TEST(EmulatorReductionTest, TheLastBlockAddsUpInTheOrderOfBlocks) {
  constexpr unsigned int kSize = 2000;
  constexpr unsigned int kBlocks = (kSize + kThreads - 1) / kThreads;
  std::vector<float> values(kSize);
  for (unsigned int i = 0; i < kSize; ++i) values[i] = 1.0f / static_cast<float>(i + 3);
  std::vector<double> first;

  emulator::ForEachSeed(50, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<float> input(values);
    OnDevice<double> partials(std::vector<double>(kBlocks, -1.0));
    OnDevice<unsigned int> done({0});
    OnDevice<double> sum({0});
    DROVER_LAUNCH(SumKernel, kBlocks, kThreads, 0, nullptr, input.get(), kSize, partials.get(),
                  done.get(), sum.get());
    if (seed == 0) first = sum.Read();
    EXPECT_EQ(sum.Read(), first);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// Blocks draw tickets; each adds its number to what the ticket before has published. Right only if
// a block waits for tickets that were drawn before its own.
__global__ void ChainKernel(unsigned int tickets, unsigned int* next, unsigned int* ready,
                            long long* sums) {
  DROVER_SHARED_ARRAY(unsigned int, drawn, 1);
  while (true) {
    __syncthreads();
    if (threadIdx.x == 0) drawn[0] = AddInteger(next, 1);
    __syncthreads();
    const unsigned int ticket = drawn[0];
    if (ticket >= tickets) return;
    if (threadIdx.x == 0 && ticket > 0) {
      while (LoadAcquire(&ready[ticket - 1]) == 0) SpinWait();
    }
    __syncthreads();
    const long long before = ticket == 0 ? 0 : sums[ticket - 1];
    __syncthreads();
    if (threadIdx.x == 0) {
      sums[ticket] = before + ticket * ticket;
      StoreRelease(&ready[ticket], 1u);
    }
  }
}

TEST(EmulatorReductionTest, ATicketQueueMayWaitForEarlierTickets) {
  constexpr unsigned int kTickets = 40;
  emulator::ForEachSeed(50, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<unsigned int> next({0});
    OnDevice<unsigned int> ready(std::vector<unsigned int>(kTickets, 0));
    OnDevice<long long> sums(std::vector<long long>(kTickets, -1));
    DROVER_LAUNCH(ChainKernel, 7, 33, 0, nullptr, kTickets, next.get(), ready.get(), sums.get());
    EXPECT_EQ(sums.Read().back(), 39 * 40 * 79 / 6);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// Half of the threads wait for two flags of the others. Both may be set after a thread has looked
// at the first of them: it must look again before it sleeps.
__global__ void TwoFlagsKernel(int* flags, int* result) {
  if (threadIdx.x >= 2) {
    StoreRelease(&flags[threadIdx.x - 2], 1);
    return;
  }
  while (LoadAcquire(&flags[0]) + LoadAcquire(&flags[1]) != 2) SpinWait();
  result[threadIdx.x] = 1;
}

TEST(EmulatorReductionTest, AWaitForTwoFlagsMissesNone) {
  emulator::ForEachSeed(200, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<int> flags({0, 0});
    OnDevice<int> result({0, 0});
    DROVER_LAUNCH(TwoFlagsKernel, 1, 4, 0, nullptr, flags.get(), result.get());
    EXPECT_EQ(result.Read(), std::vector<int>({1, 1}));
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

}  // namespace
}  // namespace drover
