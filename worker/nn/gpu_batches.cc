#include "worker/nn/gpu_batches.h"

#include <cstring>

#include "worker/nn/gpu_layer.h"

namespace drover {
namespace {

// Calls visit(member, values per sample) for every array of a batch. Those that are there lie in
// memory in this order.
template <typename BatchType, typename Visit>
void ForEachArray(BatchType* batch, const PaddedBatch::Sizes& sizes, const Visit& visit) {
  visit(&batch->inputs, sizes.inputs);
  visit(&batch->labels, int64_t{1});
  visit(&batch->tokens, sizes.tokens);
  visit(&batch->segments, sizes.tokens);
  visit(&batch->lengths, int64_t{1});
  visit(&batch->masked_positions, sizes.masked);
  visit(&batch->masked_labels, sizes.masked);
  visit(&batch->targets, sizes.targets);
  visit(&batch->positions, int64_t{1});
}

size_t BytesOfSlot(int64_t micro_batch, const PaddedBatch::Sizes& sizes) {
  size_t bytes = 0;
  Batch batch;
  ForEachArray(&batch, sizes, [&](auto* member, int64_t each) {
    bytes += AlignedBytes(static_cast<size_t>(micro_batch * each) * sizeof(**member));
  });
  return bytes;
}

}  // namespace

size_t GpuBatches::DeviceBytes(int64_t micro_batch, const PaddedBatch::Sizes& sizes) {
  return kSlots * BytesOfSlot(micro_batch, sizes);
}

Result<GpuBatches> GpuBatches::Make(int64_t micro_batch, const PaddedBatch::Sizes& sizes,
                                    int device, std::byte* memory) {
  Result<GpuStream> copies = GpuStream::Open(device);
  if (!copies.ok()) return copies.status();
  GpuBatches batches(micro_batch, sizes, std::move(copies).value());
  const size_t bytes = BytesOfSlot(micro_batch, sizes);
  for (std::optional<Slot>& slot : batches.slots_) {
    Result<PinnedBuffer<std::byte>> host = PinnedBuffer<std::byte>::Make(device, bytes);
    if (!host.ok()) return host.status();
    Result<GpuEvent> arrived = GpuEvent::Make(device);
    if (!arrived.ok()) return arrived.status();
    Result<GpuEvent> read = GpuEvent::Make(device);
    if (!read.ok()) return read.status();
    slot.emplace(
        Slot{std::move(host).value(), memory, std::move(arrived).value(), std::move(read).value()});
    memory += bytes;
  }
  return batches;
}

Result<Batch> GpuBatches::Bring(const Batch& padded, const GpuStream& stream) {
  Slot& slot = *slots_[next_];
  DROVER_RETURN_IF_ERROR(slot.arrived.Wait());      // The pinned memory is free again ...
  DROVER_RETURN_IF_ERROR(slot.read.Hold(copies_));  // ... and so will be the device's.
  Batch on_device = padded;
  size_t offset = 0;
  ForEachArray(&on_device, sizes_, [&](auto* member, int64_t each) {
    const size_t bytes = static_cast<size_t>(micro_batch_ * each) * sizeof(**member);
    if (*member == nullptr || bytes == 0) return;
    std::memcpy(slot.host.data() + offset, *member, bytes);
    *member = reinterpret_cast<std::remove_reference_t<decltype(*member)>>(slot.device + offset);
    offset += AlignedBytes(bytes);
  });
  DROVER_RETURN_IF_ERROR(CopyBytesToDevice(copies_, slot.device, slot.host.data(), offset));
  DROVER_RETURN_IF_ERROR(slot.arrived.Record(copies_));
  DROVER_RETURN_IF_ERROR(slot.arrived.Hold(stream));
  return on_device;
}

Status GpuBatches::Done(const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(slots_[next_]->read.Record(stream));
  next_ = (next_ + 1) % kSlots;
  return Status();
}

}  // namespace drover
