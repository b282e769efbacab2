// Adds up what the GPUs of one host have summed of a lease, before it goes to the shards. Each lane
// leaves its GPU's sums here when it is done with its leaves; the last one brings the total to the
// host. Integers: no bit depends on who has done which leaf. Thread-safe.

#ifndef DROVER_WORKER_COMM_HOST_REDUCE_H_
#define DROVER_WORKER_COMM_HOST_REDUCE_H_

#include <cstdint>
#include <memory>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "common/tensor/layout.h"

namespace drover {

class HostReduce {
 public:
  virtual ~HostReduce() = default;

  // A new lease; what lanes still leave of earlier ones is refused. Never blocks.
  virtual uint64_t Begin() = 0;
  // Takes the sums of the GPU of `stream`: device memory at layout offsets, zeros between tensors,
  // whole when `stream` has passed. Returns when they are taken; once per GPU and lease.
  // kCancelled: the lease is not the newest one.
  virtual Status Deposit(uint64_t lease, const GpuStream& stream, const int64_t* sums) = 0;
  // Adds up what was left of `lease` and brings it to `space`, the host's parameter space; blocks.
  // Errors as of Deposit, and of the GPUs' working together.
  virtual Status Finish(uint64_t lease, int64_t* space) = 0;
};

// By LocalReduce, over NCCL on these GPUs. Errors say why it cannot: then sums are to be added on
// the host.
Result<std::shared_ptr<HostReduce>> MakeHostReduce(const std::vector<int>& devices,
                                                   const Layout& layout);

}  // namespace drover

#endif  // DROVER_WORKER_COMM_HOST_REDUCE_H_
