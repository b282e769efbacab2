// One worker process drives all GPUs of its host. This adds up their gradients, so that the host
// pushes each chunk once, and spreads the weights, so that they cross the network once:
//
//   every GPU:  leaves' gradients -> int64 sums in its padded space (worker/comm/local_slices.h)
//   Reduce:     reduce-scatter over the GPUs; each copies its own slice to its pinned memory
//   then:       ChunkSums(i) goes to the shard that owns chunk i
//   Spread:     each GPU uploads its slice of the new weights over its own link, then all gather
//
// int64 sums are associative: the result does not depend on how many GPUs there are, which leaf ran
// on which, or how NCCL orders the additions. One thread.

#ifndef DROVER_WORKER_COMM_LOCAL_REDUCE_H_
#define DROVER_WORKER_COMM_LOCAL_REDUCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/comm/local_communicator.h"
#include "worker/comm/local_slices.h"

namespace drover {

class LocalReduce {
 public:
  // Allocates padded sums on each GPU, which begin at zero.
  // `timeout` bounds each Reduce and Spread.
  static Result<std::unique_ptr<LocalReduce>> Make(LocalSlices slices,
                                                   std::unique_ptr<LocalCommunicator> communicator,
                                                   Duration timeout);

  const LocalSlices& slices() const { return slices_; }
  LocalCommunicator& communicator() { return *communicator_; }

  // int64 [slices().padded_elements()], memory of that rank: where its leaves are added, chunk i
  // from slices().PaddedOffset(i) on. Add in communicator().stream(rank), or have that stream wait.
  int64_t* sums(int rank) const { return sums_[static_cast<size_t>(rank)].data(); }
  // Zeroes them for the next lease, all or those of one rank.
  Status Clear();
  Status Clear(int rank);

  // Adds up the ranks and brings each slice to the host; blocks. Afterwards sums() are undefined.
  Status Reduce();
  // int64 [slices().ChunkElements(chunk)], in the pinned memory of the chunk's rank; valid after
  // Reduce until the next one. Gaps between tensors are zero.
  std::span<const int64_t> ChunkSums(size_t chunk) const;
  // Reduce, but to `space`, int64 of the layout's parameter space on the host, where chunks lie at
  // layout offsets; pinned memory is faster. What lies between two slices is not touched.
  Status ReduceTo(int64_t* space);

  // Brings weights to all ranks; blocks. `host`: elements of `element_bytes` each, from the first
  // element of the first chunk to the last of the last one; pinned memory is faster. weights[rank]:
  // as many bytes, memory of that rank. kInvalidArgument when a length is not as the chunks say.
  Status Spread(std::span<const std::byte> host, size_t element_bytes,
                std::span<std::byte* const> weights);
  // How many elements `host` has.
  uint64_t span_elements() const;

 private:
  LocalReduce(LocalSlices slices, std::unique_ptr<LocalCommunicator> communicator, Duration timeout)
      : slices_(std::move(slices)), communicator_(std::move(communicator)), timeout_(timeout) {}

  // `target(rank)` is where the rank's slice goes on the host.
  Status ReduceInto(const std::function<int64_t*(int rank)>& target);

  const LocalSlices slices_;
  // Freed after the communicator, which may still use them: keep this order.
  std::vector<DeviceBuffer<int64_t>> sums_;    // [ranks] of [padded_elements]
  std::vector<PinnedBuffer<int64_t>> pinned_;  // [ranks] of [slice elements], from Reduce on.
  const std::unique_ptr<LocalCommunicator> communicator_;
  const Duration timeout_;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_LOCAL_REDUCE_H_
