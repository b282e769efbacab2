#include <gtest/gtest.h>

#include "common/gpu/device.h"

namespace drover {
namespace {

TEST(DeviceStubTest, EveryCallSaysWhatToDo) {
  const std::string message =
      "this build has no CUDA: install the CUDA toolkit 12 or later and build again";
  for (const Status& status :
       {ListGpus().status(), GpuStream::Open(0).status(), GpuEvent::Make(0).status(),
        ReadGpuMemoryUse(0).status(), DeviceBuffer<float>::Make(0, 1).status(),
        PinnedBuffer<float>::Make(0, 0).status()}) {
    EXPECT_EQ(status.code(), Code::kUnimplemented);
    EXPECT_EQ(status.message(), message);
  }
  EXPECT_FALSE(HasGpuBackend());
}

TEST(DeviceStubTest, VersionsHaveNames) {
  EXPECT_EQ(CudaVersionName(13000), "13.0");
  EXPECT_EQ(CudaVersionName(12080), "12.8");
}

}  // namespace
}  // namespace drover
