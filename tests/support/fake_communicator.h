// LocalCommunicator without NCCL: ranks are memory of the emulated device 0, and each operation is
// a plain loop. It is as unkind as its contract allows: it adds in an order that the seed decides
// and overwrites what the contract calls undefined. Not thread-safe.

#ifndef DROVER_TESTS_SUPPORT_FAKE_COMMUNICATOR_H_
#define DROVER_TESTS_SUPPORT_FAKE_COMMUNICATOR_H_

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "worker/comm/local_communicator.h"

namespace drover {

class FakeCommunicator : public LocalCommunicator {
 public:
  FakeCommunicator(int ranks, uint64_t seed) : random_(seed) {
    for (int rank = 0; rank < ranks; ++rank) {
      Result<GpuStream> stream = GpuStream::Open(rank);
      DROVER_CHECK(stream.ok());
      streams_.push_back(std::move(stream).value());
    }
  }

  // What the next Wait says of a rank, for ever after.
  void Fail(int rank, Status why) { broken_ = why.Annotate(fmt::format("rank {}", rank)); }

  int ranks() const override { return static_cast<int>(streams_.size()); }
  const GpuStream& stream(int rank) const override { return streams_[static_cast<size_t>(rank)]; }

  Status ReduceScatterInt64(std::span<int64_t* const> sums, size_t count) override {
    DROVER_RETURN_IF_ERROR(Join());
    std::vector<std::vector<uint64_t>> slices;
    for (size_t rank = 0; rank < streams_.size(); ++rank) {
      std::vector<uint64_t> slice(count, 0);
      for (const size_t from : AnyOrder()) {
        const int64_t* in = sums[from] + rank * count;
        for (size_t i = 0; i < count; ++i) slice[i] += static_cast<uint64_t>(in[i]);
      }
      slices.push_back(std::move(slice));
    }
    for (size_t rank = 0; rank < streams_.size(); ++rank) {
      std::fill(sums[rank], sums[rank] + count * streams_.size(), int64_t{0x5a5a5a5a5a5a});
      std::copy(slices[rank].begin(), slices[rank].end(), sums[rank] + rank * count);
    }
    return Status();
  }

  Status AllGather(std::span<std::byte* const> buffers, std::span<const Part> parts) override {
    DROVER_RETURN_IF_ERROR(Join());
    for (const size_t from : AnyOrder()) {
      for (const size_t to : AnyOrder()) {
        if (to == from || parts[from].bytes == 0) continue;
        std::memcpy(buffers[to] + parts[from].offset, buffers[from] + parts[from].offset,
                    parts[from].bytes);
      }
    }
    return Status();
  }

  Status Wait(Duration) override {
    DROVER_RETURN_IF_ERROR(Join());
    waited_ = broken_;
    return waited_;
  }

 private:
  // An operation sees what was enqueued before it, on all ranks.
  Status Join() const {
    for (const GpuStream& stream : streams_) DROVER_RETURN_IF_ERROR(stream.Wait());
    return waited_;
  }

  std::vector<size_t> AnyOrder() {
    std::vector<size_t> order(streams_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::shuffle(order.begin(), order.end(), random_);
    return order;
  }

  std::vector<GpuStream> streams_;
  std::mt19937_64 random_;
  Status broken_;
  Status waited_;
};

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_FAKE_COMMUNICATOR_H_
