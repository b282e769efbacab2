#include "worker/comm/local_reduce.h"

#include <span>
#include <utility>

#include "common/base/check.h"

namespace drover {

Result<std::unique_ptr<LocalReduce>> LocalReduce::Make(LocalSlices slices,
                                                       LocalCommunicator* communicator,
                                                       Duration timeout) {
  DROVER_CHECK(slices.ranks() == communicator->ranks());
  std::unique_ptr<LocalReduce> made(new LocalReduce(std::move(slices), communicator, timeout));
  for (int rank = 0; rank < made->slices_.ranks(); ++rank) {
    Result<DeviceBuffer<int64_t>> sums = DeviceBuffer<int64_t>::Make(
        communicator->stream(rank).device(), made->slices_.padded_elements());
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

Status LocalReduce::ReduceTo(int64_t* space) {
  std::vector<int64_t*> sums;
  for (const DeviceBuffer<int64_t>& buffer : sums_) sums.push_back(buffer.data());
  DROVER_RETURN_IF_ERROR(communicator_->ReduceScatterInt64(sums, slices_.slice_elements()));
  for (int rank = 0; rank < slices_.ranks(); ++rank) {
    const LocalSlices::Slice& slice = slices_.slice(rank);
    const uint64_t begin = static_cast<uint64_t>(rank) * slices_.slice_elements();
    DROVER_RETURN_IF_ERROR(CopyToHost<int64_t>(communicator_->stream(rank),
                                               sums[static_cast<size_t>(rank)] + begin,
                                               std::span(space + slice.offset, slice.elements)));
  }
  return communicator_->Wait(timeout_);
}

}  // namespace drover
