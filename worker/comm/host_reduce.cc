#include "worker/comm/host_reduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "worker/comm/host_communicator.h"
#include "worker/comm/local_reduce.h"

namespace drover {
namespace {

// A slice is a run of these; they need not be those that go to shards.
constexpr uint32_t kBlocksOfChunk = 16;
// For one reduction, tenths of a second of work: whoever takes longer will not come.
constexpr Duration kPatience = std::chrono::seconds(60);

std::vector<BlockRange> ChunksOf(const Layout& layout) {
  std::vector<BlockRange> chunks;
  for (uint32_t begin = 0; begin < layout.block_count(); begin += kBlocksOfChunk) {
    chunks.push_back({begin, std::min(begin + kBlocksOfChunk, layout.block_count())});
  }
  return chunks;
}

class ReduceOfHost : public HostReduce {
 public:
  explicit ReduceOfHost(std::unique_ptr<LocalReduce> reduce)
      : reduce_(std::move(reduce)), has_left_(static_cast<size_t>(ranks()), false) {}

  uint64_t Begin() override { return ++newest_; }

  Status Deposit(uint64_t lease, const GpuStream& stream, const int64_t* sums) override {
    MutexLock lock(&mutex_);
    DROVER_RETURN_IF_ERROR(TurnTo(lease));
    const int rank = RankOf(stream.device());
    if (rank == ranks()) {
      return Status(Code::kInternal, fmt::format("GPU {} is no rank", stream.device()));
    }
    const LocalSlices& slices = reduce_->slices();
    for (int to = 0; to < ranks(); ++to) {
      const LocalSlices::Slice& slice = slices.slice(to);
      DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(
          stream, reduce_->sums(rank) + static_cast<uint64_t>(to) * slices.slice_elements(),
          sums + slice.offset, slice.elements * sizeof(int64_t)));
    }
    DROVER_RETURN_IF_ERROR(stream.Wait());
    has_left_[static_cast<size_t>(rank)] = true;
    return Status();
  }

  Status Finish(uint64_t lease, int64_t* space) override {
    MutexLock lock(&mutex_);
    DROVER_RETURN_IF_ERROR(TurnTo(lease));
    for (int rank = 0; rank < ranks(); ++rank) {
      // What stands there is of an earlier lease.
      if (!has_left_[static_cast<size_t>(rank)]) DROVER_RETURN_IF_ERROR(reduce_->Clear(rank));
    }
    return reduce_->ReduceTo(space);
  }

 private:
  int ranks() const { return reduce_->slices().ranks(); }
  int RankOf(int device) const {
    int rank = 0;
    while (rank < ranks() && reduce_->communicator().stream(rank).device() != device) ++rank;
    return rank;
  }
  // Nobody has left anything of `lease` when it is new here.
  Status TurnTo(uint64_t lease) DROVER_REQUIRES(mutex_) {
    if (lease != newest_.load()) return Status(Code::kCancelled, "the lease is void");
    if (std::exchange(lease_, lease) != lease) has_left_.assign(has_left_.size(), false);
    return Status();
  }

  std::atomic<uint64_t> newest_{0};
  Mutex mutex_;
  const std::unique_ptr<LocalReduce> reduce_;
  uint64_t lease_ DROVER_GUARDED_BY(mutex_) = 0;
  std::vector<bool> has_left_ DROVER_GUARDED_BY(mutex_);  // [ranks]
};

}  // namespace

Result<std::shared_ptr<HostReduce>> MakeHostReduce(const std::vector<int>& devices,
                                                   const Layout& layout) {
  Result<std::unique_ptr<LocalCommunicator>> communicator = MakeHostCommunicator(devices);
  if (!communicator.ok()) return communicator.status();
  LocalSlices slices(layout, ChunksOf(layout), static_cast<int>(devices.size()));
  Result<std::unique_ptr<LocalReduce>> reduce =
      LocalReduce::Make(std::move(slices), std::move(communicator).value(), kPatience);
  if (!reduce.ok()) return reduce.status();
  // Sums are left by other streams, which must not come before the zeros of the beginning.
  DROVER_RETURN_IF_ERROR(reduce.value()->communicator().Wait(kPatience));
  return std::shared_ptr<HostReduce>(std::make_shared<ReduceOfHost>(std::move(reduce).value()));
}

}  // namespace drover
