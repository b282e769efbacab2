#include "worker/nn/gpu_weights_inlet.h"

#include <utility>

#include "worker/nn/rounding_gpu.h"

namespace drover {

// Copies read memory of the host that may go now.
GpuWeightsInlet::~GpuWeightsInlet() {
  if (landing_ != nullptr) (void)landing_->copies.Wait();
}

Result<GpuWeightsInlet::Landing> GpuWeightsInlet::Make(int device, size_t bytes) {
  Result<GpuStream> copies = GpuStream::Open(device);
  if (!copies.ok()) return copies.status();
  Result<DeviceBuffer<std::byte>> memory = DeviceBuffer<std::byte>::Make(device, bytes);
  if (!memory.ok()) return memory.status();
  Result<GpuEvent> arrived = GpuEvent::Make(device);
  if (!arrived.ok()) return arrived.status();
  Result<GpuEvent> handed = GpuEvent::Make(device);
  if (!handed.ok()) return handed.status();
  // Gaps between chunks are in no frame; they become 0, like the host's.
  DROVER_RETURN_IF_ERROR(ZeroBytes(copies.value(), memory.value().data(), memory.value().bytes()));
  return Landing{std::move(copies).value(), std::move(memory).value(), std::move(arrived).value(),
                 std::move(handed).value()};
}

Status GpuWeightsInlet::Open(size_t elements, bool takes_bf16) {
  MutexLock lock(&mutex_);
  if (landing_ != nullptr && elements_ == elements && takes_bf16_ == takes_bf16) return Status();
  landing_.reset();
  version_.reset();
  complete_ = false;
  Result<Landing> landing = Make(device_, DeviceBytes(elements, takes_bf16));
  if (!landing.ok()) return landing.status().Annotate("where weights arrive");
  landing_ = std::make_unique<Landing>(std::move(landing).value());
  elements_ = elements;
  takes_bf16_ = takes_bf16;
  return Status();
}

void GpuWeightsInlet::Begin(int64_t version) {
  MutexLock lock(&mutex_);
  if (landing_ == nullptr) return;
  if (broken_.ok() && !untouched_) broken_ = landing_->copies.Wait();
  version_ = version;
  untouched_ = true;
  missed_ = false;
  complete_ = false;
}

void GpuWeightsInlet::Arrived(int64_t version, const ArrivedWeights& chunk) {
  MutexLock lock(&mutex_);
  if (landing_ == nullptr || version_ != version || !broken_.ok()) return;
  if (chunk.is_bf16 != takes_bf16_) {
    missed_ = true;
    return;
  }
  broken_ = Copy(chunk);
}

Status GpuWeightsInlet::Touch() {
  return std::exchange(untouched_, false) ? landing_->handed.Hold(landing_->copies) : Status();
}

Status GpuWeightsInlet::Copy(const ArrivedWeights& chunk) {
  DROVER_RETURN_IF_ERROR(Touch());
  return CopyBytesToDevice(landing_->copies,
                           landing_->memory.data() + DeviceBytes(chunk.elements.begin, takes_bf16_),
                           chunk.values, DeviceBytes(chunk.elements.size(), takes_bf16_));
}

std::optional<GpuWeightsInlet::Landed> GpuWeightsInlet::LandedOf(int64_t version) {
  MutexLock lock(&mutex_);
  if (landing_ == nullptr || version_ != version || missed_ || !broken_.ok()) return std::nullopt;
  broken_ = Touch();
  if (!broken_.ok()) return std::nullopt;
  return Landed{&landing_->copies, landing_->memory.data(), takes_bf16_};
}

void GpuWeightsInlet::Complete(int64_t version) {
  MutexLock lock(&mutex_);
  if (landing_ == nullptr || version_ != version || missed_ || !broken_.ok()) return;
  broken_ = landing_->arrived.Record(landing_->copies);
  complete_ = broken_.ok();
}

Result<bool> GpuWeightsInlet::Hand(int64_t version, const WeightsOnGpu& to,
                                   const GpuStream& compute) {
  MutexLock lock(&mutex_);
  if (!broken_.ok()) return broken_;
  if (!complete_ || version_ != version) return false;
  DROVER_RETURN_IF_ERROR(landing_->arrived.Hold(compute));
  DROVER_RETURN_IF_ERROR(Widen(to, compute));
  DROVER_RETURN_IF_ERROR(landing_->handed.Record(compute));
  return true;
}

Status GpuWeightsInlet::Widen(const WeightsOnGpu& to, const GpuStream& compute) {
  const std::byte* const from = landing_->memory.data();
  if (takes_bf16_) {
    return WidenBf16OnGpu(static_cast<int64_t>(elements_), reinterpret_cast<const uint16_t*>(from),
                          to.values, to.rounded, compute);
  }
  DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(compute, to.values, from, elements_ * sizeof(float)));
  if (to.rounded == nullptr) return Status();
  return RoundToBf16OnGpu(static_cast<int64_t>(elements_), to.values, to.rounded, compute);
}

}  // namespace drover
