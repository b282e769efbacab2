// A program that was built with CUDA runs without driver or GPU; that this one starts is half of
// the proof.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/gpu/device.h"

namespace drover {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST(AbsentGpuTest, SaysWhetherTheDriverOrTheGpuIsMissingAndWhatToDo) {
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (gpus.ok()) GTEST_SKIP() << "there is a GPU: " << gpus.value()[0].name;

  EXPECT_TRUE(HasGpuBackend());
  if (gpus.status().code() == Code::kNotFound) {
    EXPECT_THAT(gpus.status().message(), HasSubstr("no GPU: the driver for CUDA "));
  } else {
    EXPECT_EQ(gpus.status().code(), Code::kFailedPrecondition);
    EXPECT_THAT(gpus.status().message(),
                AnyOf(HasSubstr("no NVIDIA driver: libcuda.so.1 was not found. Install the driver"),
                      HasSubstr("the NVIDIA driver is too old")));
  }
  EXPECT_THAT(gpus.status().message(), HasSubstr("cudaError"));
}

TEST(AbsentGpuTest, EveryWayInGivesTheSameReason) {
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (gpus.ok()) GTEST_SKIP() << "there is a GPU: " << gpus.value()[0].name;

  for (const Status& status :
       {GpuStream::Open(0).status(), GpuEvent::Make(0).status(),
        DeviceBuffer<float>::Make(0, 8).status(), PinnedBuffer<float>::Make(0, 8).status()}) {
    EXPECT_EQ(status.ToString(), gpus.status().ToString());
  }
}

}  // namespace
}  // namespace drover
