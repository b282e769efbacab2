// The GPUs of one host as ranks that work together: what LocalReduce needs of NCCL. One process
// drives all ranks, so each call is made once and concerns all of them. Calls enqueue and return;
// Wait says how it went. One thread.

#ifndef DROVER_WORKER_COMM_LOCAL_COMMUNICATOR_H_
#define DROVER_WORKER_COMM_LOCAL_COMMUNICATOR_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

class LocalCommunicator {
 public:
  // Bytes of a buffer.
  struct Part {
    size_t offset = 0;
    size_t bytes = 0;
  };

  virtual ~LocalCommunicator() = default;

  virtual int ranks() const = 0;
  // Where a rank's operations are enqueued; what else is enqueued there keeps its place among them.
  virtual const GpuStream& stream(int rank) const = 0;

  // In place. sums[rank]: int64 [ranks * count], memory of that rank. Afterwards elements
  // [rank * count, (rank + 1) * count) of it are the sums over all ranks, modulo 2^64; what is in
  // the others is undefined. A count of 0 does nothing.
  virtual Status ReduceScatterInt64(std::span<int64_t* const> sums, size_t count) = 0;

  // In place. buffers[rank]: the same bytes on every rank, of which rank r has parts[r] so far.
  // Afterwards every rank has all parts. Parts are disjoint, of any size, and may be empty.
  virtual Status AllGather(std::span<std::byte* const> buffers, std::span<const Part> parts) = 0;

  // Blocks until everything enqueued in all streams is done; not longer than `timeout`. After an
  // error of any rank (named in the message) or kDeadlineExceeded nothing is left running, and
  // every later call answers with that same error: a host whose GPUs do not work together needs a
  // new communicator.
  virtual Status Wait(Duration timeout) = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_LOCAL_COMMUNICATOR_H_
