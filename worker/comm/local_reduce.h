// One worker process drives all GPUs of its host. This adds up their gradients, or some chunks of
// them, so that the host pushes each chunk once:
//
//   every GPU:  leaves' gradients -> int64 sums in its padded space (worker/comm/local_slices.h)
//   ReduceTo:   reduce-scatter over the GPUs; each copies its own slice to the host
//
// int64 sums are associative: the result does not depend on how many GPUs there are, which leaf ran
// on which, or how NCCL orders the additions. One thread.

#ifndef DROVER_WORKER_COMM_LOCAL_REDUCE_H_
#define DROVER_WORKER_COMM_LOCAL_REDUCE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/comm/local_communicator.h"
#include "worker/comm/local_slices.h"

namespace drover {

class LocalReduce {
 public:
  // Allocates padded sums on each GPU, which begin at zero. `communicator` is used by every call,
  // but not by the destructor: it may still work with the sums and so has to go first.
  // `timeout` bounds each ReduceTo.
  static Result<std::unique_ptr<LocalReduce>> Make(LocalSlices slices,
                                                   LocalCommunicator* communicator,
                                                   Duration timeout);

  const LocalSlices& slices() const { return slices_; }

  // int64 [slices().padded_elements()], memory of that rank: where its leaves are added, chunk i
  // from slices().PaddedOffset(i) on. Add in the communicator's stream of the rank, or have that
  // stream wait.
  int64_t* sums(int rank) const { return sums_[static_cast<size_t>(rank)].data(); }
  // Zeroes them for the next lease, all or those of one rank.
  Status Clear();
  Status Clear(int rank);

  // Adds up the ranks and brings each slice to `space`, int64 of the layout's parameter space on
  // the host, where chunks lie at layout offsets; pinned memory is faster. Gaps between the tensors
  // of a slice are written too, with the sums of what lay there; what lies between two slices is
  // not touched. Blocks. Afterwards sums() are undefined.
  Status ReduceTo(int64_t* space);

 private:
  LocalReduce(LocalSlices slices, LocalCommunicator* communicator, Duration timeout)
      : slices_(std::move(slices)), communicator_(communicator), timeout_(timeout) {}

  const LocalSlices slices_;
  std::vector<DeviceBuffer<int64_t>> sums_;  // [ranks] of [padded_elements]
  LocalCommunicator* const communicator_;
  const Duration timeout_;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_LOCAL_REDUCE_H_
