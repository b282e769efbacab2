// Streams, events, graphs and memory: that host code which waits too little is seen, and that
// host code which waits enough is not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
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
using ::testing::HasSubstr;

__global__ void AddKernel(int* value, int increment) {
  if (threadIdx.x == 0) *value += increment;
}
__global__ void DoubleKernel(int* value) {
  if (threadIdx.x == 0) *value *= 2;
}

// Two streams and an event, destroyed at the end.
struct TwoStreams {
  TwoStreams() {
    EXPECT_EQ(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaEventCreateWithFlags(&event, cudaEventDefault), cudaSuccess);
  }
  ~TwoStreams() {
    EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(second), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(first), cudaSuccess);
  }
  cudaStream_t first = nullptr;
  cudaStream_t second = nullptr;
  cudaEvent_t event = nullptr;
};

// (1 + 2) * 2 when the second stream waits for the first; the values seen under 50 seeds.
std::set<int> SumThenDouble(bool waits) {
  std::set<int> seen;
  emulator::ForEachSeed(50, [&](uint64_t) {
    OnDevice<int> value({1});
    TwoStreams streams;
    DROVER_LAUNCH(AddKernel, 1, 32, 0, streams.first, value.get(), 2);
    EXPECT_EQ(cudaEventRecord(streams.event, streams.first), cudaSuccess);
    if (waits) {
      EXPECT_EQ(cudaStreamWaitEvent(streams.second, streams.event), cudaSuccess);
    }
    DROVER_LAUNCH(DoubleKernel, 1, 32, 0, streams.second, value.get());
    EXPECT_EQ(cudaStreamSynchronize(streams.second), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(streams.first), cudaSuccess);
    seen.insert(value.Read()[0]);
  });
  return seen;
}

TEST(EmulatorStreamsTest, AnEventOrdersStreamsAndAMissingOneShows) {
  EXPECT_THAT(SumThenDouble(/*waits=*/true), ElementsAre(6));
  EXPECT_THAT(SumThenDouble(/*waits=*/false), ElementsAre(4, 6));
}

// What arrives when a host buffer of 1 gets its next value after the copy was enqueued.
std::set<int> CopyThenReuse(bool waits) {
  std::set<int> seen;
  emulator::ForEachSeed(50, [&](uint64_t) {
    OnDevice<int> value({0});
    TwoStreams streams;
    int* staging = nullptr;
    EXPECT_EQ(cudaMallocHost(&staging, sizeof(int)), cudaSuccess);
    *staging = 1;
    EXPECT_EQ(
        cudaMemcpyAsync(value.get(), staging, sizeof(int), cudaMemcpyHostToDevice, streams.first),
        cudaSuccess);
    EXPECT_EQ(cudaEventRecord(streams.event, streams.first), cudaSuccess);
    if (waits) {
      EXPECT_EQ(cudaEventSynchronize(streams.event), cudaSuccess);
    }
    *staging = 2;
    EXPECT_EQ(cudaStreamSynchronize(streams.first), cudaSuccess);
    seen.insert(value.Read()[0]);
    EXPECT_EQ(cudaFreeHost(staging), cudaSuccess);
  });
  return seen;
}

TEST(EmulatorStreamsTest, AHostBufferThatIsReusedTooEarlyShows) {
  EXPECT_THAT(CopyThenReuse(/*waits=*/true), ElementsAre(1));
  EXPECT_THAT(CopyThenReuse(/*waits=*/false), ElementsAre(1, 2));
}

TEST(EmulatorStreamsTest, AHostBufferThatIsFreedTooEarlyIsReported) {
  OnDevice<int> value({0});
  TwoStreams streams;
  int* staging = nullptr;
  ASSERT_EQ(cudaMallocHost(&staging, sizeof(int)), cudaSuccess);
  ASSERT_EQ(
      cudaMemcpyAsync(value.get(), staging, sizeof(int), cudaMemcpyHostToDevice, streams.first),
      cudaSuccess);
  ASSERT_EQ(cudaFreeHost(staging), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(streams.first), cudaErrorLaunchFailure);
  EXPECT_THAT(emulator::TakeErrors(),
              ElementsAre(HasSubstr("its source was freed before the copy ran")));
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
}

TEST(EmulatorStreamsTest, PollingComesToAnEnd) {
  emulator::ForEachSeed(20, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<int> value({0});
    TwoStreams streams;
    DROVER_LAUNCH(AddKernel, 1, 32, 0, streams.first, value.get(), 1);
    EXPECT_EQ(cudaEventRecord(streams.event, streams.first), cudaSuccess);
    DROVER_LAUNCH(AddKernel, 1, 32, 0, streams.first, value.get(), 1);
    while (cudaEventQuery(streams.event) == cudaErrorNotReady) {
    }
    while (cudaStreamQuery(streams.first) == cudaErrorNotReady) {
    }
    EXPECT_EQ(value.Read()[0], 2);
  });
}

TEST(EmulatorStreamsTest, TimeBetweenMarksNeedsBothReached) {
  emulator::SetSeed(0);
  OnDevice<int> value({0});
  TwoStreams streams;
  cudaEvent_t end = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&end, cudaEventDefault), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(streams.event, streams.first), cudaSuccess);
  DROVER_LAUNCH(AddKernel, 1, 32, 0, streams.first, value.get(), 1);
  ASSERT_EQ(cudaEventRecord(end, streams.first), cudaSuccess);
  float milliseconds = 0;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, streams.event, end), cudaErrorNotReady);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, streams.event, end), cudaSuccess);
  EXPECT_GT(milliseconds, 0.0f);
  ASSERT_EQ(cudaEventDestroy(end), cudaSuccess);
}

TEST(EmulatorStreamsTest, AGraphReplaysWhatWasRecorded) {
  emulator::ForEachSeed(20, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    OnDevice<int> value({1});
    TwoStreams streams;
    ASSERT_EQ(cudaStreamBeginCapture(streams.first, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    DROVER_LAUNCH(AddKernel, 1, 32, 0, streams.first, value.get(), 2);
    // The second stream joins the recording and is joined again.
    ASSERT_EQ(cudaEventRecord(streams.event, streams.first), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(streams.second, streams.event), cudaSuccess);
    DROVER_LAUNCH(DoubleKernel, 1, 32, 0, streams.second, value.get());
    ASSERT_EQ(cudaEventRecord(streams.event, streams.second), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(streams.first, streams.event), cudaSuccess);
    int* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, 4), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaStreamSynchronize(streams.first), cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamEndCapture(streams.first, &graph), cudaSuccess);
    size_t nodes = 0;
    ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
    EXPECT_EQ(nodes, 2u);
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(value.Read()[0], 1);  // Recording runs nothing.

    const int64_t before = emulator::LaunchCount();
    for (int replay = 0; replay < 2; ++replay) {
      ASSERT_EQ(cudaGraphLaunch(executable, streams.second), cudaSuccess);
    }
    ASSERT_EQ(cudaStreamSynchronize(streams.second), cudaSuccess);
    EXPECT_EQ(value.Read()[0], ((1 + 2) * 2 + 2) * 2);
    EXPECT_EQ(emulator::LaunchCount() - before, 4);
    ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  });
  (void)cudaGetLastError();
}

TEST(EmulatorStreamsTest, ARecordingWithWorkThatNobodyJoinedIsRefused) {
  OnDevice<int> value({1});
  TwoStreams streams;
  ASSERT_EQ(cudaStreamBeginCapture(streams.first, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(streams.event, streams.first), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(streams.second, streams.event), cudaSuccess);
  DROVER_LAUNCH(DoubleKernel, 1, 32, 0, streams.second, value.get());
  EXPECT_EQ(cudaEventSynchronize(streams.event), cudaErrorCapturedEvent);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(streams.first, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(cudaStreamSynchronize(streams.second), cudaSuccess);
  EXPECT_EQ(value.Read()[0], 1);
  (void)cudaGetLastError();
}

TEST(EmulatorStreamsTest, ARecordingForbidsOtherThreadsNothingUnlessItIsGlobal) {
  TwoStreams streams;
  for (const cudaStreamCaptureMode mode :
       {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal}) {
    ASSERT_EQ(cudaStreamBeginCapture(streams.first, mode), cudaSuccess);
    Thread("other", [mode] {
      int* memory = nullptr;
      EXPECT_EQ(cudaMalloc(&memory, 4), mode == cudaStreamCaptureModeGlobal
                                            ? cudaErrorStreamCaptureUnsupported
                                            : cudaSuccess);
      EXPECT_EQ(cudaFree(memory), cudaSuccess);
    }).Join();
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamEndCapture(streams.first, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  }
}

TEST(EmulatorStreamsTest, CopiesBeyondAnAllocationAreRefused) {
  OnDevice<int> value({1, 2});
  int host[3] = {};
  EXPECT_EQ(cudaMemcpy(host, value.get(), sizeof host, cudaMemcpyDeviceToHost),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, host, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(value.get() + 1, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(value.get() + 1, 0, 4), cudaSuccess);
  EXPECT_THAT(value.Read(), ElementsAre(1, 0));
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST(EmulatorStreamsTest, NewMemoryIsNotANumberAndMayBeMissing) {
  const int64_t before = emulator::AllocationCount();
  float* memory = nullptr;
  emulator::FailNextAllocation();
  EXPECT_EQ(cudaMalloc(&memory, 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&memory, size_t{1} << 40), cudaErrorMemoryAllocation);
  ASSERT_EQ(cudaMalloc(&memory, 8), cudaSuccess);
  EXPECT_EQ(emulator::AllocationCount(), before + 1);
  float host = 0;
  EXPECT_EQ(cudaMemcpy(&host, memory + 1, 4, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_TRUE(isnan(host));
  EXPECT_EQ(cudaFree(memory + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(emulator::AllocationCount(), before);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
}

TEST(EmulatorStreamsTest, ThereMayBeNoDeviceOrSeveral) {
  int count = -1;
  emulator::SetDeviceCount(0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  emulator::SetDeviceCount(2);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  cudaDeviceProp properties;
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 1), cudaSuccess);
  EXPECT_STREQ(properties.name, "emulated device");
  {
    TwoStreams of_device_1;
    OnDevice<int> value({1});
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    (void)cudaGetLastError();
    DROVER_LAUNCH(DoubleKernel, 1, 32, 0, of_device_1.first, value.get());
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  }
  int blocks = 0;
  EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, DoubleKernel, 256, 0),
            cudaSuccess);
  EXPECT_GT(blocks, 0);
  emulator::SetDeviceCount(1);
}

}  // namespace
}  // namespace drover
