#include "worker/comm/local_reduce.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"

namespace drover {

Result<std::unique_ptr<LocalReduce>> LocalReduce::Make(
    LocalSlices slices, std::unique_ptr<LocalCommunicator> communicator, Duration timeout) {
  DROVER_CHECK(slices.ranks() == communicator->ranks());
  std::unique_ptr<LocalReduce> made(
      new LocalReduce(std::move(slices), std::move(communicator), timeout));
  for (int rank = 0; rank < made->slices_.ranks(); ++rank) {
    const int device = made->communicator_->stream(rank).device();
    Result<DeviceBuffer<int64_t>> sums =
        DeviceBuffer<int64_t>::Make(device, made->slices_.padded_elements());
    if (!sums.ok()) return sums.status().Annotate("sums of gradients");
    made->sums_.push_back(std::move(sums).value());
  }
  DROVER_RETURN_IF_ERROR(made->Clear());
  return made;
}

Status LocalReduce::Clear() {
  for (int rank = 0; rank < slices_.ranks(); ++rank) {
    DROVER_RETURN_IF_ERROR(Clear(rank));
  }
  return Status();
}

Status LocalReduce::Clear(int rank) {
  const DeviceBuffer<int64_t>& sums = sums_[static_cast<size_t>(rank)];
  return ZeroBytes(communicator_->stream(rank), sums.data(), sums.bytes());
}

Status LocalReduce::Reduce() {
  for (size_t rank = pinned_.size(); rank < sums_.size(); ++rank) {
    Result<PinnedBuffer<int64_t>> pinned = PinnedBuffer<int64_t>::Make(
        sums_[rank].device(), slices_.slice(static_cast<int>(rank)).elements);
    if (!pinned.ok()) return pinned.status().Annotate("sums of gradients on the host");
    pinned_.push_back(std::move(pinned).value());
  }
  return ReduceInto([this](int rank) { return pinned_[static_cast<size_t>(rank)].data(); });
}

Status LocalReduce::ReduceTo(int64_t* space) {
  return ReduceInto([&](int rank) { return space + slices_.slice(rank).offset; });
}

Status LocalReduce::ReduceInto(const std::function<int64_t*(int rank)>& target) {
  std::vector<int64_t*> sums;
  for (const DeviceBuffer<int64_t>& buffer : sums_) sums.push_back(buffer.data());
  DROVER_RETURN_IF_ERROR(communicator_->ReduceScatterInt64(sums, slices_.slice_elements()));
  for (int rank = 0; rank < slices_.ranks(); ++rank) {
    const uint64_t begin = static_cast<uint64_t>(rank) * slices_.slice_elements();
    DROVER_RETURN_IF_ERROR(
        CopyToHost<int64_t>(communicator_->stream(rank), sums[static_cast<size_t>(rank)] + begin,
                            std::span(target(rank), slices_.slice(rank).elements)));
  }
  return communicator_->Wait(timeout_);
}

std::span<const int64_t> LocalReduce::ChunkSums(size_t chunk) const {
  const PinnedBuffer<int64_t>& slice = pinned_[static_cast<size_t>(slices_.RankOf(chunk))];
  return slice.span().subspan(slices_.OffsetInSlice(chunk), slices_.ChunkElements(chunk));
}

uint64_t LocalReduce::span_elements() const {
  if (slices_.chunks().empty()) return 0;
  const LocalSlices::Slice& last = slices_.slice(slices_.RankOf(slices_.chunks().size() - 1));
  return last.offset + last.elements - slices_.slice(slices_.RankOf(0)).offset;
}

Status LocalReduce::Spread(std::span<const std::byte> host, size_t element_bytes,
                           std::span<std::byte* const> weights) {
  if (host.size() != span_elements() * element_bytes) {
    return Status(Code::kInvalidArgument,
                  fmt::format("weights for the GPUs: {} bytes, expected {} elements of {} bytes",
                              host.size(), span_elements(), element_bytes));
  }
  DROVER_CHECK(weights.size() == sums_.size());
  if (host.empty()) return Status();
  const uint64_t first = slices_.slice(slices_.RankOf(0)).offset;
  std::vector<LocalCommunicator::Part> parts(weights.size());
  for (int rank = 0; rank < slices_.ranks(); ++rank) {
    const LocalSlices::Slice& slice = slices_.slice(rank);
    if (slice.chunk_count == 0) continue;
    LocalCommunicator::Part& part = parts[static_cast<size_t>(rank)];
    part.offset = (slice.offset - first) * element_bytes;
    // With the gap up to the next slice: then every byte arrives.
    const size_t next = slice.first_chunk + slice.chunk_count;
    const uint64_t end = next < slices_.chunks().size() ? slices_.slice(slices_.RankOf(next)).offset
                                                        : slice.offset + slice.elements;
    part.bytes = (end - slice.offset) * element_bytes;
    DROVER_RETURN_IF_ERROR(CopyBytesToDevice(communicator_->stream(rank),
                                             weights[static_cast<size_t>(rank)] + part.offset,
                                             host.data() + part.offset, part.bytes));
  }
  DROVER_RETURN_IF_ERROR(communicator_->AllGather(weights, parts));
  return communicator_->Wait(timeout_);
}

}  // namespace drover
