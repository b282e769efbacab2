// Kernels that are broken on purpose: each must be reported with its place, under every seed, and
// must not hang.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/gpu/kernel.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/common/gpu/emulator_run.h"

namespace drover {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr unsigned int kThreads = 64;
constexpr unsigned int kAllLanes = 0xffffffffu;

// Runs `launch` under 20 seeds; each must end in one error that `matcher` accepts, and the device
// must work again afterwards.
template <typename Launch, typename Matcher>
void ExpectReported(const Launch& launch, const Matcher& matcher) {
  emulator::ForEachSeed(20, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    int* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, kThreads * sizeof(int)), cudaSuccess);
    cudaStream_t stream = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    launch(stream, memory);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
    EXPECT_THAT(emulator::TakeErrors(), ElementsAre(matcher));
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    EXPECT_EQ(cudaFree(memory), cudaSuccess);
    (void)cudaGetLastError();
  });
}

// Reverses the numbers of a block; the barrier between writing and reading is there or not.
template <bool kBarrier>
__global__ void ReverseKernel(int* reversed) {
  DROVER_SHARED_ARRAY(int, values, kThreads);
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (kBarrier) __syncthreads();
  reversed[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

TEST(EmulatorBrokenTest, AMissingBarrierIsReportedInEveryOrder) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(ReverseKernel<false>, 1, kThreads, 0, stream, memory);
      },
      AllOf(HasSubstr("kernel ReverseKernel<false>, block (0,0,0), thread ("),
            HasSubstr("shared array values["),
            AnyOf(HasSubstr("nobody has written"), HasSubstr("wrote without a barrier between"),
                  HasSubstr("read without a barrier between"))));
}

TEST(EmulatorBrokenTest, TheSameKernelWithItsBarrierIsAccepted) {
  emulator::ForEachSeed(20, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<int> reversed(std::vector<int>(kThreads, -1));
    DROVER_LAUNCH(ReverseKernel<true>, 3, kThreads, 0, nullptr, reversed.get());
    EXPECT_EQ(reversed.Read().front(), 63);
    EXPECT_EQ(reversed.Read().back(), 0);
    EXPECT_THAT(emulator::TakeErrors(), ElementsAre());
  });
}

// The second round writes while others still read the first.
__global__ void TwoRoundsKernel(int* sums) {
  DROVER_SHARED_ARRAY(int, value, 1);
  int sum = 0;
  for (int round = 0; round < 2; ++round) {
    if (threadIdx.x == 0) value[0] = round;
    __syncthreads();
    sum += value[0];
  }
  sums[threadIdx.x] = sum;
}

TEST(EmulatorBrokenTest, AWriteOverWhatOthersReadIsReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(TwoRoundsKernel, 1, kThreads, 0, stream, memory);
      },
      AllOf(HasSubstr("TwoRoundsKernel"), HasSubstr("shared array value[0]"),
            HasSubstr("without a barrier between: a race")));
}

__global__ void AllWriteKernel(int* result) {
  DROVER_SHARED_ARRAY(unsigned int, last, 1);
  last[0] = threadIdx.x;
  __syncthreads();
  *result = static_cast<int>(last[0]);
}

TEST(EmulatorBrokenTest, AWriteOverWhatAnotherWroteIsReported) {
  ExpectReported([](cudaStream_t stream,
                    int* memory) { DROVER_LAUNCH(AllWriteKernel, 1, kThreads, 0, stream, memory); },
                 AllOf(HasSubstr("writes shared array last[0], which thread ("),
                       HasSubstr("wrote without a barrier between: a race")));
}

// A barrier of a warp is none for two warps.
template <unsigned int kPartner>
__global__ void PartnerKernel(int* results) {
  DROVER_SHARED_ARRAY(int, values, kThreads);
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncwarp();
  results[threadIdx.x] = values[threadIdx.x ^ kPartner];
}

TEST(EmulatorBrokenTest, ABarrierOfAWarpOrdersOnlyItsWarp) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(PartnerKernel<32>, 1, kThreads, 0, stream, memory);
      },
      HasSubstr("shared array values["));
  emulator::ForEachSeed(20, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<int> results(std::vector<int>(kThreads, -1));
    DROVER_LAUNCH(PartnerKernel<31>, 1, kThreads, 0, nullptr, results.get());
    EXPECT_EQ(results.Read().front(), 31);
    EXPECT_THAT(emulator::TakeErrors(), ElementsAre());
  });
}

__global__ void BeyondKernel(int* result) {
  DROVER_SHARED_ARRAY(int, values, kThreads);
  values[threadIdx.x + 1] = 1;
  *result = 0;
}

TEST(EmulatorBrokenTest, AnIndexOutOfRangeIsReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(BeyondKernel, 1, kThreads, 0, stream, memory);
      },
      AllOf(HasSubstr("thread (63,0,0) writes shared array values[64], but the array declared at "
                      "emulator_broken_test.cc:"),
            HasSubstr("has 64 elements")));
}

__global__ void UninitialisedKernel(double* result) {
  DROVER_SHARED_ARRAY(double, sums, 2);
  if (threadIdx.x == 0) sums[0] = 1.0;
  __syncthreads();
  if (threadIdx.x == 5) *result = sums[0] + sums[1];
}

TEST(EmulatorBrokenTest, AReadOfWhatNobodyWroteIsReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(UninitialisedKernel, 1, kThreads, 0, stream,
                      reinterpret_cast<double*>(memory));
      },
      HasSubstr("kernel UninitialisedKernel, block (0,0,0), thread (5,0,0) reads shared array "
                "sums[1], which nobody has written"));
}

__global__ void DivergentKernel(int* result) {
  if (threadIdx.x < 40) __syncthreads();
  result[threadIdx.x] = 1;
}

TEST(EmulatorBrokenTest, ABarrierThatPartOfABlockNeverReachesIsReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(DivergentKernel, 1, kThreads, 0, stream, memory);
      },
      AllOf(HasSubstr("kernel DivergentKernel"),
            HasSubstr("__syncthreads at emulator_broken_test.cc:"), HasSubstr("for all of its")));
}

__global__ void TwoBarriersKernel(int* result) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    result[0] = __syncthreads_or(1);
  }
}

__global__ void TwoPlacesKernel(int* result) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
    result[0] = 1;
  } else {
    __syncthreads();
    result[1] = 1;
  }
}

__global__ void TwoShufflesKernel(int* result) {
  if (threadIdx.x % 2 == 0) {
    result[0] = __shfl_xor_sync(kAllLanes, 1, 1);
  } else {
    result[1] = __shfl_xor_sync(kAllLanes, 1, 1);
  }
}

TEST(EmulatorBrokenTest, PartsOfABlockAtDifferentLinesAreReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(TwoPlacesKernel, 1, kThreads, 0, stream, memory);
      },
      HasSubstr("a barrier is for all of a block"));
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(TwoShufflesKernel, 1, kThreads, 0, stream, memory);
      },
      HasSubstr("waits in __shfl_xor_sync at emulator_broken_test.cc:"));
}

TEST(EmulatorBrokenTest, DifferentBarriersInOneBlockAreReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(TwoBarriersKernel, 1, kThreads, 0, stream, memory);
      },
      HasSubstr("a barrier is for all of a block"));
}

__global__ void MissingLaneKernel(int* result) {
  if (threadIdx.x == 7) return;
  result[threadIdx.x] = __shfl_xor_sync(kAllLanes, 1, 1);
}

TEST(EmulatorBrokenTest, AShuffleWithALaneMissingIsReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(MissingLaneKernel, 1, kThreads, 0, stream, memory);
      },
      AllOf(HasSubstr("__shfl_xor_sync at emulator_broken_test.cc:"), HasSubstr("thread (7,0,0)")));
}

__global__ void WrongMaskKernel(int* result) {
  result[threadIdx.x] = __shfl_down_sync(0xffffu, 1, 1);
}

TEST(EmulatorBrokenTest, AMaskWithoutItsOwnLaneOrItsSourceIsReported) {
  ExpectReported(
      [](cudaStream_t stream, int* memory) {
        DROVER_LAUNCH(WrongMaskKernel, 1, kThreads, 0, stream, memory);
      },
      AnyOf(HasSubstr("which does not name its own lane"),
            HasSubstr("with mask 0x0000ffff, but lane 15 reads lane 16")));
}

TEST(EmulatorBrokenTest, AFullMaskInAShortWarpIsReported) {
  ExpectReported([](cudaStream_t stream,
                    int* memory) { DROVER_LAUNCH(MissingLaneKernel, 1, 20, 0, stream, memory); },
                 HasSubstr("with mask 0xffffffff, "));
}

// Block 0 waits for block 1 and block 1 for block 0.
__global__ void CircleKernel(int* flags) {
  while (LoadAcquire(&flags[1 - blockIdx.x]) != 1) SpinWait();
  StoreRelease(&flags[blockIdx.x], 1);
}

TEST(EmulatorBrokenTest, WaitingInACircleIsReported) {
  ExpectReported([](cudaStream_t stream,
                    int* memory) { DROVER_LAUNCH(CircleKernel, 2, 32, 0, stream, memory); },
                 AllOf(HasSubstr("kernel CircleKernel: no thread can go on; block ("),
                       HasSubstr("waits in SpinWait")));
}

// All blocks meet, as if all were on the device at once.
__global__ void MeetingKernel(int* arrived) {
  if (threadIdx.x == 0) {
    AddInteger(arrived, 1);
    while (LoadAcquire(arrived) + 1 != static_cast<int>(gridDim.x)) SpinWait();  // Began at -1.
  }
  __syncthreads();
}

TEST(EmulatorBrokenTest, WaitingForBlocksThatHaveNotBegunIsReported) {
  ExpectReported([](cudaStream_t stream,
                    int* memory) { DROVER_LAUNCH(MeetingKernel, 5, 32, 0, stream, memory); },
                 AllOf(HasSubstr("no thread can go on"), HasSubstr("have not begun")));
}

// As many blocks as the occupancy allows may be on the device at once, but need not.
TEST(EmulatorBrokenTest, CountingOnAllBlocksAtOnceIsReportedUnderSomeSeeds) {
  size_t reports = 0;
  emulator::ForEachSeed(20, [&](uint64_t) {
    OnDevice<int> arrived({-1});
    DROVER_LAUNCH(MeetingKernel, 4, 32, 0, nullptr, arrived.get());
    (void)arrived.Read();
    reports += emulator::TakeErrors().size();
  });
  EXPECT_GT(reports, 0u);
  EXPECT_LT(reports, 20u);
  (void)cudaGetLastError();
}

__global__ void NoSpinWaitKernel(int* flag) {
  while (LoadAcquire(flag) != 1) {
  }
}

TEST(EmulatorBrokenTest, AWaitWithoutSpinWaitIsReported) {
  emulator::SetSeed(0);
  OnDevice<int> flag({0});
  DROVER_LAUNCH(NoSpinWaitKernel, 1, 1, 0, nullptr, flag.get());
  EXPECT_EQ(flag.Read(), std::vector<int>());
  EXPECT_THAT(emulator::TakeErrors(), ElementsAre(HasSubstr("must call SpinWait")));
}

// Adds a value per block in the order in which blocks come to the lock: a float sum depends on it.
__global__ void ArrivalSumKernel(const float* values, unsigned int* turn, float* sum) {
  if (threadIdx.x == 0) {
    while (AddInteger(turn, 1) != 0) {
      AddInteger(turn, ~0u);
      SpinWait();
    }
    *sum += values[blockIdx.x];
    AddInteger(turn, ~0u);
  }
}

TEST(EmulatorBrokenTest, PartialsSummedInArrivalOrderGiveChangingResults) {
  std::vector<float> values;
  for (int i = 0; i < 32; ++i) values.push_back(1.0f / static_cast<float>(3 * i + 1));
  std::set<float> sums;
  emulator::ForEachSeed(50, [&](uint64_t) {
    OnDevice<float> input(values);
    OnDevice<unsigned int> turn({0});
    OnDevice<float> sum({0.0f});
    DROVER_LAUNCH(ArrivalSumKernel, 32, 32, 0, nullptr, input.get(), turn.get(), sum.get());
    const std::vector<float> result = sum.Read();
    ASSERT_THAT(emulator::TakeErrors(), ElementsAre());
    sums.insert(result[0]);
  });
  EXPECT_GT(sums.size(), 1u);
}

TEST(EmulatorBrokenTest, LaunchesThatNoDeviceTakesAreRefused) {
  OnDevice<int> memory({0});
  DROVER_LAUNCH(DivergentKernel, 1, 1025, 0, nullptr, memory.get());
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  DROVER_LAUNCH(DivergentKernel, 0, 32, 0, nullptr, memory.get());
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  DROVER_LAUNCH(DivergentKernel, 1, 32, 16, nullptr, memory.get());
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_THAT(emulator::TakeErrors(), ElementsAre(HasSubstr("dynamic shared memory")));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

}  // namespace
}  // namespace drover
