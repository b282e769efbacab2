#include "server/optim/update_plan_gpu.h"

#include <utility>
#include <vector>

#include "common/base/check.h"

namespace drover {
namespace {

template <typename T>
Status CopyVector(const std::vector<T>& host, const GpuStream& stream, DeviceBuffer<T>* device) {
  Result<DeviceBuffer<T>> buffer = DeviceBuffer<T>::Make(stream.device(), host.size());
  if (!buffer.ok()) return buffer.status();
  *device = std::move(buffer).value();
  return CopyToDevice<T>(stream, host, device->data());
}

template <typename T>
Status Allocate(const GpuStream& stream, size_t size, DeviceBuffer<T>* device) {
  Result<DeviceBuffer<T>> buffer = DeviceBuffer<T>::Make(stream.device(), size);
  if (!buffer.ok()) return buffer.status();
  *device = std::move(buffer).value();
  return Status();
}

}  // namespace

Result<UpdatePlanOnGpu> UpdatePlanOnGpu::Copy(const UpdatePlan& plan, const GpuStream& stream) {
  UpdatePlanOnGpu copy;
  DROVER_RETURN_IF_ERROR(CopyVector(plan.strips, stream, &copy.strips_));
  DROVER_RETURN_IF_ERROR(CopyVector(plan.block_strips, stream, &copy.block_strips_));
  DROVER_RETURN_IF_ERROR(CopyVector(plan.tensors, stream, &copy.tensors_));
  copy.tables_.strips = copy.strips_.data();
  copy.tables_.block_strips = copy.block_strips_.data();
  copy.tables_.tensors = copy.tensors_.data();
  copy.tables_.strip_count = static_cast<uint32_t>(plan.strips.size());
  copy.tables_.block_count = static_cast<uint32_t>(plan.block_strips.size() - 1);
  copy.tables_.tensor_count = static_cast<uint32_t>(plan.tensors.size());
  DROVER_RETURN_IF_ERROR(stream.Wait());
  return copy;
}

Result<FusedUpdate> FusedUpdate::Make(const UpdatePlan& plan, const UpdatePlanOnGpu& on_gpu,
                                      uint32_t multiprocessors, const GpuStream& stream) {
  DROVER_CHECK(plan.whole_tensors && multiprocessors > 0);
  FusedUpdate fused;
  fused.tables_ = on_gpu.tables();
  fused.thread_blocks_ = multiprocessors * kFusedBlocksPerMultiprocessor;
  const size_t tensors = plan.tensors.size();
  const std::vector<uint32_t> tickets = UpdateTickets(plan, FusedWaveElements(multiprocessors));
  DROVER_RETURN_IF_ERROR(CopyVector(tickets, stream, &fused.tickets_));
  DROVER_RETURN_IF_ERROR(Allocate(stream, 2 + 2 * tensors, &fused.counters_));
  DROVER_RETURN_IF_ERROR(ZeroBytes(stream, fused.counters_.data(), fused.counters_.bytes()));
  DROVER_RETURN_IF_ERROR(Allocate(stream, plan.strips.size(), &fused.strip_norms_));
  DROVER_RETURN_IF_ERROR(Allocate(stream, tensors, &fused.tensor_scales_));
  DROVER_RETURN_IF_ERROR(Allocate(stream, tensors, &fused.ratios_));
  DROVER_RETURN_IF_ERROR(stream.Wait());
  return fused;
}

Status FusedUpdate::Run(Rule rule, const UpdateNumbersOnGpu& numbers, const UpdateArrays& arrays,
                        const GpuStream& stream) const {
  uint32_t* counters = counters_.data();
  const FusedCounters where = {counters, counters + 1, counters + 2,
                               counters + 2 + tables_.tensor_count};
  return FusedUpdateOnGpu(rule, tables_, tickets_.data(), static_cast<uint32_t>(tickets_.size()),
                          numbers, arrays, where, strip_norms_.data(), tensor_scales_.data(),
                          ratios_.data(), thread_blocks_, stream);
}

}  // namespace drover
