#include "worker/train/host_inlet.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/base/logging.h"

namespace drover {
namespace {

// Parts begin at multiples of so many elements: whole lines of memory.
constexpr uint64_t kAlignment = 64;

// Elements of `chunk`, all of which it has.
ArrivedWeights Cut(const ArrivedWeights& chunk, const ElementRange& elements) {
  const size_t skipped =
      GpuWeightsInlet::DeviceBytes(elements.begin - chunk.elements.begin, chunk.is_bf16);
  return {elements, chunk.is_bf16, static_cast<const std::byte*>(chunk.values) + skipped};
}

}  // namespace

HostInlet::HostInlet(std::vector<std::shared_ptr<GpuWeightsInlet>> gpus,
                     std::shared_ptr<HostReduce> host, uint64_t elements)
    : gpus_(std::move(gpus)), host_(std::move(host)), elements_(elements) {}

ElementRange HostInlet::PartOf(size_t index) const {
  const auto edge = [&](size_t at) {
    if (at == gpus_.size()) return elements_;
    return elements_ * at / gpus_.size() / kAlignment * kAlignment;
  };
  return {edge(index), edge(index + 1)};
}

void HostInlet::Begin(int64_t version) {
  for (const auto& gpu : gpus_) gpu->Begin(version);
}

void HostInlet::Arrived(int64_t version, const ArrivedWeights& chunk) {
  const bool shares = shares_.load();
  for (size_t i = 0; i < gpus_.size(); ++i) {
    const ElementRange part = shares ? PartOf(i) : chunk.elements;
    const uint64_t begin = std::max(chunk.elements.begin, part.begin);
    const uint64_t end = std::min(chunk.elements.end, part.end);
    if (begin < end) gpus_[i]->Arrived(version, Cut(chunk, {begin, end}));
  }
}

bool HostInlet::Gather(int64_t version) {
  std::vector<HostReduce::Share> shares;
  for (size_t i = 0; i < gpus_.size(); ++i) {
    const std::optional<GpuWeightsInlet::Landed> landed = gpus_[i]->LandedOf(version);
    if (!landed) return false;  // A lane takes what it needs from the host's memory.
    const ElementRange part = PartOf(i);
    shares.push_back({landed->stream, landed->memory,
                      GpuWeightsInlet::DeviceBytes(part.begin, landed->is_bf16),
                      GpuWeightsInlet::DeviceBytes(part.size(), landed->is_bf16)});
  }
  const Status gathered = host_->Gather(shares);
  if (gathered.ok()) return true;
  LogWarning("each GPU gets all weights over its own bus from now on, because {}",
             gathered.message());
  shares_.store(false);
  return false;
}

void HostInlet::Complete(int64_t version) {
  if (shares_.load() && !Gather(version)) return;
  for (const auto& gpu : gpus_) gpu->Complete(version);
}

}  // namespace drover
