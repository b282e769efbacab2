#include "worker/train/compute_device.h"

#include "worker/nn/numeric_class.h"

namespace drover {
namespace {

Result<ComputeDevice> Cpu(const v1::JobSpec& spec, uint32_t lanes) {
  if (spec.device() == v1::JobSpec::DEVICE_CUDA) {
    return Status(Code::kFailedPrecondition, "device: cuda: this worker computes on its CPU only");
  }
  if (spec.precision() == v1::JobSpec::PRECISION_TF32) {
    return Status(Code::kFailedPrecondition,
                  "precision: tf32: this worker computes on its CPU, which has f32 and bf16");
  }
  return ComputeDevice{"CPU", NumericClassOfCpu(),
                       std::vector<LeafModelMaker>(lanes, MakeCpuLeafModel)};
}

}  // namespace

DeviceChooser OnlyCpu(uint32_t lanes) {
  return [lanes](const v1::JobSpec& spec) { return Cpu(spec, lanes); };
}

}  // namespace drover
