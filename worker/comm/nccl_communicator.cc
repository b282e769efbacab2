#include "worker/comm/nccl_communicator.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

constexpr Duration kPoll = std::chrono::microseconds(50);

}  // namespace

Result<std::unique_ptr<NcclCommunicator>> NcclCommunicator::Make(NcclApi nccl,
                                                                 std::vector<int> devices,
                                                                 const Clock& clock) {
  DROVER_CHECK(!devices.empty());
  std::unique_ptr<NcclCommunicator> made(new NcclCommunicator(std::move(nccl), clock));
  for (const int device : devices) {
    Result<GpuStream> stream = GpuStream::Open(device);
    if (!stream.ok()) return stream.status();
    made->streams_.push_back(std::move(stream).value());
  }
  std::vector<NcclComm> comms(devices.size(), nullptr);
  DROVER_RETURN_IF_ERROR(NcclStatus(
      made->nccl_,
      made->nccl_.CommInitAll(comms.data(), static_cast<int>(devices.size()), devices.data()),
      fmt::format("NCCL over {} GPUs of this host", devices.size())));
  made->comms_ = std::move(comms);
  return made;
}

NcclCommunicator::~NcclCommunicator() {
  for (NcclComm comm : comms_) (void)nccl_.CommDestroy(comm);
}

Status NcclCommunicator::ReduceScatterInt64(std::span<int64_t* const> sums, size_t count) {
  DROVER_CHECK(sums.size() == streams_.size());
  if (count == 0) return broken_;
  return Group(fmt::format("reduce-scatter of {} int64 per GPU", count), [&](size_t rank) {
    return nccl_.ReduceScatter(sums[rank], sums[rank] + rank * count, count, kNcclInt64, kNcclSum,
                               comms_[rank], streams_[rank].handle());
  });
}

Status NcclCommunicator::AllGather(std::span<std::byte* const> buffers,
                                   std::span<const Part> parts) {
  DROVER_CHECK(buffers.size() == streams_.size() && parts.size() == streams_.size());
  // ncclAllGather wants parts of one size; broadcasts from changing roots in one group do not.
  return Group("all-gather", [&](size_t rank) {
    for (size_t root = 0; root < parts.size(); ++root) {
      if (parts[root].bytes == 0) continue;
      std::byte* const part = buffers[rank] + parts[root].offset;
      const NcclResult result =
          nccl_.Broadcast(part, part, parts[root].bytes, kNcclInt8, static_cast<int>(root),
                          comms_[rank], streams_[rank].handle());
      if (result != kNcclSuccess) return result;
    }
    return kNcclSuccess;
  });
}

Status NcclCommunicator::Wait(Duration timeout) {
  const Instant deadline = clock_.Now() + timeout;
  for (size_t rank = 0; rank < comms_.size();) {
    Result<bool> done = RankDone(rank);
    // Another rank's error may be why this one is not done.
    for (size_t other = rank + 1; done.ok() && other < comms_.size(); ++other) {
      const Result<bool> other_done = RankDone(other);
      if (!other_done.ok()) done = other_done.status();
    }
    if (!done.ok()) return Abort(done.status());
    if (done.value()) {
      ++rank;
      continue;
    }
    if (clock_.Now() >= deadline) {
      return Abort(
          Status(Code::kDeadlineExceeded,
                 fmt::format("GPU {} (rank {} of {}) was not done with NCCL within {} s",
                             streams_[rank].device(), rank, comms_.size(), Seconds(timeout))));
    }
    SleepFor(kPoll);
  }
  return broken_;
}

Status NcclCommunicator::Group(const std::string& what,
                               const std::function<NcclResult(size_t rank)>& call) {
  if (!broken_.ok()) return broken_;
  Status status = NcclStatus(nccl_, nccl_.GroupStart(), what);
  if (!status.ok()) return Abort(status);
  for (size_t rank = 0; rank < comms_.size() && status.ok(); ++rank) {
    status = NcclStatus(nccl_, call(rank), fmt::format("{}, GPU {}", what, streams_[rank].device()),
                        comms_[rank]);
  }
  // The group is ended whatever happened, else the next one would be part of it.
  const Status ended = NcclStatus(nccl_, nccl_.GroupEnd(), what);
  if (status.ok()) status = ended;
  return status.ok() ? status : Abort(status);
}

Result<bool> NcclCommunicator::RankDone(size_t rank) const {
  const std::string what =
      fmt::format("GPU {} (rank {} of {})", streams_[rank].device(), rank, comms_.size());
  NcclResult error = kNcclSuccess;
  DROVER_RETURN_IF_ERROR(
      NcclStatus(nccl_, nccl_.CommGetAsyncError(comms_[rank], &error), what, comms_[rank]));
  if (error == kNcclInProgress) return false;
  DROVER_RETURN_IF_ERROR(NcclStatus(nccl_, error, what, comms_[rank]));
  Result<bool> done = streams_[rank].Done();
  return done.ok() ? done : done.status().Annotate(what);
}

Status NcclCommunicator::Abort(Status why) {
  broken_ = std::move(why);
  // Ends kernels that wait for a rank that will never come.
  for (NcclComm comm : std::exchange(comms_, {})) (void)nccl_.CommAbort(comm);
  return broken_;
}

}  // namespace drover
