#include "worker/comm/host_reduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "worker/comm/host_communicator.h"
#include "worker/comm/local_reduce.h"

namespace drover {
namespace {

// A slice is a run of these; they need not be those that go to shards.
constexpr uint32_t kBlocksOfChunk = 4;
// For one segment, milliseconds of work: whoever takes longer will not come.
constexpr Duration kPatience = std::chrono::seconds(60);

std::vector<BlockRange> ChunksOf(BlockRange segment) {
  std::vector<BlockRange> chunks;
  for (uint32_t begin = segment.begin; begin < segment.end; begin += kBlocksOfChunk) {
    chunks.push_back({begin, std::min(begin + kBlocksOfChunk, segment.end)});
  }
  return chunks;
}

class ReduceOfHost : public HostReduce {
 public:
  ReduceOfHost(ReduceSegments segments, std::unique_ptr<LocalCommunicator> communicator)
      : segments_(std::move(segments)),
        ranks_(communicator->ranks()),
        communicator_(std::move(communicator)) {}

  // What it needs of the GPUs. Before all else.
  Status Open(const Layout& layout) {
    MutexLock lock(&mutex_);
    for (const BlockRange& segment : segments_.blocks) {
      Result<std::unique_ptr<LocalReduce>> reduce = LocalReduce::Make(
          LocalSlices(layout, ChunksOf(segment), ranks_), communicator_.get(), kPatience);
      if (!reduce.ok()) return reduce.status();
      reduces_.push_back(std::move(reduce).value());
    }
    for (int rank = 0; rank < ranks_; ++rank) {
      Result<GpuEvent> event = GpuEvent::Make(communicator_->stream(rank).device());
      if (!event.ok()) return event.status();
      here_.push_back(std::move(event).value());
    }
    // Sums are left by other streams, which must not come before the zeros of the beginning.
    return communicator_->Wait(kPatience);
  }

  const ReduceSegments& segments() const override { return segments_; }

  uint64_t Begin() override { return ++newest_; }

  Status Deposit(uint64_t lease, size_t segment, const GpuStream& stream,
                 const int64_t* sums) override {
    MutexLock lock(&mutex_);
    DROVER_RETURN_IF_ERROR(TurnTo(lease));
    const Result<int> rank = RankOf(stream);
    if (!rank.ok()) return rank.status();
    const LocalReduce& reduce = *reduces_[segment];
    const LocalSlices& slices = reduce.slices();
    for (int to = 0; to < ranks_; ++to) {
      const LocalSlices::Slice& slice = slices.slice(to);
      DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(
          stream, reduce.sums(rank.value()) + static_cast<uint64_t>(to) * slices.slice_elements(),
          sums + slice.offset, slice.elements * sizeof(int64_t)));
    }
    DROVER_RETURN_IF_ERROR(stream.Wait());
    HasLeft(segment, rank.value()) = true;
    return Status();
  }

  Status Finish(uint64_t lease, size_t segment, int64_t* space) override {
    MutexLock lock(&mutex_);
    DROVER_RETURN_IF_ERROR(TurnTo(lease));
    for (int rank = 0; rank < ranks_; ++rank) {
      // What stands there is of an earlier lease.
      if (!HasLeft(segment, rank)) DROVER_RETURN_IF_ERROR(reduces_[segment]->Clear(rank));
    }
    return reduces_[segment]->ReduceTo(space);
  }

  Status Gather(std::span<const Share> shares) override {
    MutexLock lock(&mutex_);
    DROVER_CHECK(shares.size() == static_cast<size_t>(ranks_));
    std::vector<std::byte*> memory(shares.size(), nullptr);
    std::vector<LocalCommunicator::Part> parts(shares.size());
    for (const Share& share : shares) {
      const Result<int> rank = RankOf(*share.stream);
      if (!rank.ok()) return rank.status();
      const auto at = static_cast<size_t>(rank.value());
      DROVER_RETURN_IF_ERROR(here_[at].Record(*share.stream));
      DROVER_RETURN_IF_ERROR(here_[at].Hold(communicator_->stream(rank.value())));
      memory[at] = share.memory;
      parts[at] = {share.offset, share.bytes};
    }
    DROVER_RETURN_IF_ERROR(communicator_->AllGather(memory, parts));
    return communicator_->Wait(kPatience);
  }

 private:
  Result<int> RankOf(const GpuStream& stream) const DROVER_REQUIRES(mutex_) {
    for (int rank = 0; rank < ranks_; ++rank) {
      if (communicator_->stream(rank).device() == stream.device()) return rank;
    }
    return Status(Code::kInternal, fmt::format("GPU {} is no rank", stream.device()));
  }
  std::vector<bool>::reference HasLeft(size_t segment, int rank) DROVER_REQUIRES(mutex_) {
    return has_left_[segment * static_cast<size_t>(ranks_) + static_cast<size_t>(rank)];
  }
  // Nobody has left anything of `lease` when it is new here.
  Status TurnTo(uint64_t lease) DROVER_REQUIRES(mutex_) {
    if (lease != newest_.load()) return Status(Code::kCancelled, "the lease is void");
    if (std::exchange(lease_, lease) != lease) {
      has_left_.assign(segments_.blocks.size() * static_cast<size_t>(ranks_), false);
    }
    return Status();
  }

  const ReduceSegments segments_;
  const int ranks_;
  std::atomic<uint64_t> newest_{0};
  Mutex mutex_;
  uint64_t lease_ DROVER_GUARDED_BY(mutex_) = 0;
  std::vector<bool> has_left_ DROVER_GUARDED_BY(mutex_);  // [segments, ranks]
  // Freed after the communicator, which may still use them: keep this order.
  std::vector<std::unique_ptr<LocalReduce>> reduces_ DROVER_GUARDED_BY(mutex_);  // [segments]
  std::vector<GpuEvent> here_ DROVER_GUARDED_BY(mutex_);  // [ranks] its share of the weights.
  const std::unique_ptr<LocalCommunicator> communicator_;
};

}  // namespace

Result<std::shared_ptr<HostReduce>> MakeHostReduce(const std::vector<int>& devices,
                                                   const Layout& layout,
                                                   uint64_t segment_elements) {
  Result<std::unique_ptr<LocalCommunicator>> communicator = MakeHostCommunicator(devices);
  if (!communicator.ok()) return communicator.status();
  auto reduce = std::make_shared<ReduceOfHost>(ReduceSegments(layout, segment_elements),
                                               std::move(communicator).value());
  DROVER_RETURN_IF_ERROR(reduce->Open(layout));
  return std::shared_ptr<HostReduce>(std::move(reduce));
}

}  // namespace drover
