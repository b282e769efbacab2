#include "server/shard/gpu_range.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#include "common/base/logging.h"

namespace drover {
namespace {

// As a process that a signal killed would: whoever supervises it starts it again.
constexpr int kExitDeviceFailed = 70;  // EX_SOFTWARE of sysexits.h.

template <typename T>
Status MakeZeroed(const GpuStream& stream, uint64_t elements, DeviceBuffer<T>* buffer) {
  Result<DeviceBuffer<T>> made = DeviceBuffer<T>::Make(stream.device(), elements);
  if (!made.ok()) return made.status();
  *buffer = std::move(made).value();
  return ZeroBytes(stream, buffer->data(), buffer->bytes());
}

}  // namespace

Result<std::shared_ptr<GpuRange>> GpuRange::Make(int device, const PlaceOrder& place) {
  const Result<GpuStream> stream = GpuStream::Open(device);
  if (!stream.ok()) return stream.status();
  auto range = std::make_shared<GpuRange>();
  range->device = device;
  range->layout = place.layout;
  range->owned = place.blocks;
  range->rule = place.rule;
  range->elements = place.layout->SpanElements(place.blocks);
  const auto annotate = [&](const Status& status) {
    return status.Annotate(fmt::format("blocks [{}, {}) with rule {}", place.blocks.begin,
                                       place.blocks.end, place.rule.name()));
  };
  Status made = MakeZeroed(stream.value(), range->elements, &range->sums);
  if (made.ok()) made = MakeZeroed(stream.value(), range->elements, &range->mean);
  if (made.ok()) made = MakeZeroed(stream.value(), range->elements, &range->weights);
  range->state.resize(static_cast<size_t>(place.rule.arrays()));
  for (DeviceBuffer<float>& array : range->state) {
    if (made.ok()) made = MakeZeroed(stream.value(), range->elements, &array);
  }
  if (made.ok()) made = stream.value().Wait();
  if (!made.ok()) return annotate(made);
  return range;
}

size_t GpuRange::bytes() const {
  size_t bytes = sums.bytes() + mean.bytes() + weights.bytes();
  for (const DeviceBuffer<float>& array : state) bytes += array.bytes();
  return bytes;
}

void EndProcessUnless(const Status& status, const char* doing) {
  if (status.ok()) return;
  LogError("the GPU failed while {}: {}; this process ends, restart it to go on", doing,
           status.ToString());
  std::_Exit(kExitDeviceFailed);
}

}  // namespace drover
