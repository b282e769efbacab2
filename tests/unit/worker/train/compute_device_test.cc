#include "worker/train/compute_device.h"

#include <gtest/gtest.h>

#include "worker/nn/numeric_class.h"

namespace drover {
namespace {

v1::JobSpec SpecWith(v1::JobSpec::Device device,
                     v1::JobSpec::Precision precision = v1::JobSpec::PRECISION_F32) {
  v1::JobSpec spec;
  spec.set_device(device);
  spec.set_precision(precision);
  return spec;
}

TEST(ComputeDeviceTest, CpuHasOneLanePerCoreAndServesWhoeverDoesNotWantAGpu) {
  for (const auto wanted : {v1::JobSpec::DEVICE_AUTO, v1::JobSpec::DEVICE_CPU}) {
    const Result<ComputeDevice> device = OnlyCpu(3)(SpecWith(wanted));
    ASSERT_TRUE(device.ok());
    EXPECT_EQ(device.value().lanes.size(), 3u);
    EXPECT_EQ(device.value().numeric_class, NumericClassOfCpu());
  }
}

TEST(ComputeDeviceTest, CpuRefusesWhatOnlyGpusHave) {
  const Status cuda = OnlyCpu(1)(SpecWith(v1::JobSpec::DEVICE_CUDA)).status();
  EXPECT_EQ(cuda.code(), Code::kFailedPrecondition);
  EXPECT_EQ(cuda.message(), "device: cuda: this worker computes on its CPU only");

  const Status tf32 =
      OnlyCpu(1)(SpecWith(v1::JobSpec::DEVICE_AUTO, v1::JobSpec::PRECISION_TF32)).status();
  EXPECT_EQ(tf32.code(), Code::kFailedPrecondition);
  EXPECT_NE(tf32.message().find("precision: tf32"), std::string::npos);
}

}  // namespace
}  // namespace drover
