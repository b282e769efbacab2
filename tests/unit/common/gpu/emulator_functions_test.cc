// What the functions of CUDA that kernels call give, by CUDA's programming guide.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "common/gpu/kernel.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/common/gpu/emulator_run.h"

namespace drover {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr unsigned int kAllLanes = 0xffffffffu;

// Runs kernel(ints..., results) with `threads` threads under some seeds and returns results, which
// must be the same for all.
template <typename T>
std::vector<T> Results(void (*kernel)(T*), unsigned int threads) {
  std::vector<T> first;
  emulator::ForEachSeed(10, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<T> results(std::vector<T>(threads, T{}));
    DROVER_LAUNCH(kernel, 1, threads, 0, nullptr, results.get());
    if (seed == 0) first = results.Read();
    EXPECT_EQ(results.Read(), first);
    EXPECT_THAT(emulator::TakeErrors(), ElementsAre());
  });
  return first;
}

__global__ void ShuffleDownKernel(int* results) {
  results[threadIdx.x] = __shfl_down_sync(kAllLanes, static_cast<int>(threadIdx.x), 4, 16);
}
__global__ void ShuffleUpKernel(int* results) {
  results[threadIdx.x] = __shfl_up_sync(kAllLanes, static_cast<int>(threadIdx.x), 4, 16);
}
__global__ void ShuffleXorKernel(int* results) {
  results[threadIdx.x] = __shfl_xor_sync(kAllLanes, static_cast<int>(threadIdx.x), 5);
}
__global__ void ShuffleKernel(double* results) {
  results[threadIdx.x] = __shfl_sync(kAllLanes, threadIdx.x + 0.5, 3, 8);
}

TEST(EmulatorFunctionsTest, ShufflesReadTheLaneTheyName) {
  const std::vector<int> down = Results(ShuffleDownKernel, 32);
  const std::vector<int> up = Results(ShuffleUpKernel, 32);
  const std::vector<int> exchanged = Results(ShuffleXorKernel, 64);
  const std::vector<double> broadcast = Results(ShuffleKernel, 32);
  for (int lane = 0; lane < 32; ++lane) {
    const auto i = static_cast<size_t>(lane);
    // Within segments of 16; beyond its end a lane keeps its value.
    EXPECT_EQ(down[i], lane % 16 < 12 ? lane + 4 : lane);
    EXPECT_EQ(up[i], lane % 16 >= 4 ? lane - 4 : lane);
    EXPECT_EQ(exchanged[i], lane ^ 5);
    EXPECT_EQ(exchanged[i + 32], (lane + 32) ^ 5);
    EXPECT_EQ(broadcast[i], lane / 8 * 8 + 3 + 0.5);
  }
}

__global__ void VotesKernel(unsigned int* results) {
  const int even = threadIdx.x % 2 == 0;
  results[threadIdx.x] = 0;
  if (threadIdx.x < 16) {
    const unsigned int ballot = __ballot_sync(0xffffu, even);
    const int any = __any_sync(0xffffu, threadIdx.x == 9);
    const int all = __all_sync(0xffffu, threadIdx.x < 15);
    results[threadIdx.x] = ballot + (any ? 0x10000u : 0u) + (all ? 0x20000u : 0u);
  }
}

TEST(EmulatorFunctionsTest, VotesCountTheLanesOfTheMask) {
  const std::vector<unsigned int> votes = Results(VotesKernel, 32);
  EXPECT_EQ(votes[0], 0x15555u);
  EXPECT_EQ(votes[15], 0x15555u);
  EXPECT_EQ(votes[16], 0u);
}

__global__ void BarrierVotesKernel(int* results) {
  const int low = threadIdx.x < 10;
  const int count = __syncthreads_count(low);
  const int any = __syncthreads_or(threadIdx.x == 50);
  const int none = __syncthreads_or(threadIdx.x == 200);
  const int all = __syncthreads_and(threadIdx.x < 70);
  const int not_all = __syncthreads_and(low);
  results[threadIdx.x] = count * 10000 + any * 1000 + none * 100 + all * 10 + not_all;
}

TEST(EmulatorFunctionsTest, BarriersCountTheThreadsOfTheBlock) {
  EXPECT_THAT(Results(BarrierVotesKernel, 70), Each(101010));
}

__global__ void AtomicsKernel(long long* results) {
  AddInteger(&results[0], -3);
  MinInteger(&results[1], -static_cast<long long>(threadIdx.x));
  auto* const words = reinterpret_cast<unsigned int*>(&results[2]);
  AddInteger(&words[0], 0x80000001u);
  MinInteger(&words[1], 0u);
}

TEST(EmulatorFunctionsTest, IntegerAtomicsAreExactInEveryOrder) {
  const std::vector<long long> results = Results(AtomicsKernel, 101);
  EXPECT_EQ(results[0], -3 * 101);
  EXPECT_EQ(results[1], -100);
  EXPECT_EQ(results[2], 0x80000001ll * 101 % (1ll << 32));
}

template <typename T>
concept HasAtomicAdd = requires(T* target, T value) {
  atomicAdd(target, value);
};

TEST(EmulatorFunctionsTest, FloatsHaveNoAtomicSum) {
  EXPECT_TRUE(HasAtomicAdd<int>);
  EXPECT_TRUE(HasAtomicAdd<unsigned long long>);
  EXPECT_FALSE(HasAtomicAdd<float>);
  EXPECT_FALSE(HasAtomicAdd<double>);
}

__global__ void OtherAtomicsKernel(int* results) {
  auto* const words = reinterpret_cast<unsigned int*>(results);
  atomicMax(&results[0], static_cast<int>(threadIdx.x));
  if (atomicCAS(&words[1], 0u, threadIdx.x + 1) == 0u) atomicExch(&results[2], 7);
}

TEST(EmulatorFunctionsTest, OneThreadWinsACompareAndSwap) {
  emulator::ForEachSeed(10, [](uint64_t) {
    OnDevice<int> results({0, 0, 0});
    DROVER_LAUNCH(OtherAtomicsKernel, 2, 40, 0, nullptr, results.get());
    const std::vector<int> values = results.Read();
    EXPECT_EQ(values[0], 39);
    EXPECT_GT(values[1], 0);
    EXPECT_EQ(values[2], 7);
  });
}

__global__ void PlacesKernel(uint4* places, dim3* extents) {
  const unsigned int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned int i = block * 24 + thread;
  __stcs(&places[i], make_uint4(blockIdx.y, blockIdx.z, threadIdx.y, threadIdx.z));
  if (i == 0) {
    extents[0] = gridDim;
    extents[1] = blockDim;
  }
}

TEST(EmulatorFunctionsTest, EveryThreadKnowsItsPlace) {
  OnDevice<uint4> places(std::vector<uint4>(24 * 24));
  OnDevice<dim3> extents(std::vector<dim3>(2));
  DROVER_LAUNCH(PlacesKernel, dim3(2, 3, 4), dim3(4, 3, 2), 0, nullptr, places.get(),
                extents.get());
  const std::vector<uint4> seen = places.Read();
  for (unsigned int i = 0; i < seen.size(); ++i) {
    const unsigned int block = i / 24;
    const unsigned int thread = i % 24;
    EXPECT_EQ(seen[i].x, block / 2 % 3);
    EXPECT_EQ(seen[i].y, block / 6);
    EXPECT_EQ(seen[i].z, thread / 4 % 3);
    EXPECT_EQ(seen[i].w, thread / 12);
  }
  EXPECT_EQ(extents.Read()[0].z, 4u);
  EXPECT_EQ(extents.Read()[1].y, 3u);
}

TEST(EmulatorFunctionsTest, ArgumentsAreCopiedWhenTheKernelIsLaunched) {
  OnDevice<int> results(std::vector<int>(40, 0));
  const auto kernel = +[](int* target, int value) { target[threadIdx.x] = value; };
  int value = 5;
  DROVER_LAUNCH(kernel, 1, 40, 0, nullptr, results.get(), value);
  value = 6;
  EXPECT_THAT(results.Read(), Each(5));
}

TEST(EmulatorFunctionsTest, ConversionsRoundToNearestEven) {
  EXPECT_EQ(__double2ll_rn(2.5), 2);
  EXPECT_EQ(__double2ll_rn(-3.5), -4);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__uint_as_float(0x40000000u), 2.0f);
  EXPECT_EQ(__longlong_as_double(__double_as_longlong(-1.5)), -1.5);
  EXPECT_EQ(__popc(0xf0u) + __clz(1) + __ffs(8), 4 + 31 + 4);
  EXPECT_FALSE(isfinite(std::numeric_limits<float>::infinity()));
}

TEST(EmulatorFunctionsTest, VectorsHaveTheAlignmentOfSixteenByteAccesses) {
  EXPECT_EQ(alignof(float4), 16u);
  EXPECT_EQ(alignof(longlong2), 16u);
  EXPECT_EQ(alignof(ushort4), 8u);
  EXPECT_EQ(alignof(uchar4), 4u);
  EXPECT_EQ(make_float4(1, 2, 3, 4).w, 4.0f);
}

}  // namespace
}  // namespace drover
