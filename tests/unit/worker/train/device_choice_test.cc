#include "worker/train/device_choice.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/train/small_job.h"
#include "worker/nn/numeric_class.h"
#include "worker/train/leaf_runner.h"

namespace drover {
namespace {

Result<ComputeDevice> Choose(v1::JobSpec::Device wanted) {
  v1::JobSpec spec;
  spec.set_device(wanted);
  spec.set_precision(v1::JobSpec::PRECISION_F32);
  return GpusElseCpu(/*cpu_lanes=*/3)(spec);
}

class DeviceChoiceTest : public testing::Test {
 protected:
  ~DeviceChoiceTest() override { emulator::SetDeviceCount(1); }
};

TEST_F(DeviceChoiceTest, AutoTakesEveryGpuOfTheHost) {
  emulator::SetDeviceCount(2);
  for (const auto wanted : {v1::JobSpec::DEVICE_AUTO, v1::JobSpec::DEVICE_CUDA}) {
    const Result<ComputeDevice> device = Choose(wanted);
    ASSERT_TRUE(device.ok()) << device.status().ToString();
    EXPECT_EQ(device.value().lanes.size(), 2u);
    EXPECT_TRUE(device.value().numeric_class.starts_with("cuda " + device.value().name + " sm_"))
        << device.value().numeric_class;
  }
}

// Two emulated devices of compute capability 9.0, with 2 multiprocessors at 1 GHz each.
TEST_F(DeviceChoiceTest, WhatItsGpusCanDoAndHoldIsKnown) {
  emulator::SetDeviceCount(2);
  const ComputeDevice device = Choose(v1::JobSpec::DEVICE_CUDA).value();
  EXPECT_EQ(device.peak_flops, 2 * 2 * 1e9 * 256);
  const DeviceBuffer<int64_t> buffer = DeviceBuffer<int64_t>::Make(1, 1000).value();

  const std::vector<DeviceMemory> memory = device.read_memory();

  ASSERT_EQ(memory.size(), 2u);
  EXPECT_EQ(memory[1].device, "cuda:1");
  EXPECT_GE(memory[1].reserved, 8000);
  EXPECT_GE(memory[1].used, memory[1].reserved);
  EXPECT_GT(memory[1].total, memory[1].used);
  EXPECT_EQ(Choose(v1::JobSpec::DEVICE_CPU).value().peak_flops, 0);
}

TEST_F(DeviceChoiceTest, AutoTakesTheCpuWhereThereIsNoGpu) {
  emulator::SetDeviceCount(0);
  const Result<ComputeDevice> device = Choose(v1::JobSpec::DEVICE_AUTO);
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(device.value().lanes.size(), 3u);
  EXPECT_EQ(device.value().numeric_class, NumericClassOfCpu());
}

TEST_F(DeviceChoiceTest, CudaWithoutAGpuIsRefusedWithTheReason) {
  emulator::SetDeviceCount(0);
  const Status status = Choose(v1::JobSpec::DEVICE_CUDA).status();
  EXPECT_TRUE(status.message().starts_with("device: cuda: ")) << status.message();
  EXPECT_NE(status.message().find("no NVIDIA driver"), std::string::npos) << status.message();
}

TEST_F(DeviceChoiceTest, CpuIsTheCpuEvenWhereThereIsAGpu) {
  EXPECT_EQ(Choose(v1::JobSpec::DEVICE_CPU).value().numeric_class, NumericClassOfCpu());
}

// What a lane of a GPU makes computes leaves.
TEST_F(DeviceChoiceTest, LanesOfGpusComputeLeaves) {
  const ComputeDevice device = Choose(v1::JobSpec::DEVICE_CUDA).value();
  const auto runner = LeafRunner::Make(SmallJob(), device.lanes[0]).value();
  const std::vector<float> weights = SmallWeights(runner->layout(), 0);
  std::vector<float> gradient(weights.size());
  const std::atomic<bool> cancelled{false};

  const Result<StepStats> stats =
      runner->RunLeaf(0, 1, weights.data(), gradient.data(), {}, cancelled);

  ASSERT_TRUE(stats.ok()) << stats.status().ToString();
  EXPECT_EQ(stats.value().samples, 8);
  EXPECT_TRUE(runner->adds_leaves());
}

}  // namespace
}  // namespace drover
