// What the GPUs of one host do together. They add up what each has summed of a lease, before it
// goes to the shards, segment by segment: each lane leaves a segment here when its GPU is done with
// it, and the last lane brings the segment's total to the host. Integers: no bit depends on who has
// done which leaf. And they give each other the weights, of which each has uploaded a part.
// Thread-safe.

#ifndef DROVER_WORKER_COMM_HOST_REDUCE_H_
#define DROVER_WORKER_COMM_HOST_REDUCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "common/tensor/layout.h"
#include "worker/comm/reduce_segments.h"

namespace drover {

class HostReduce {
 public:
  virtual ~HostReduce() = default;

  virtual const ReduceSegments& segments() const = 0;
  // A new lease; what lanes still leave of earlier ones is refused. Never blocks.
  virtual uint64_t Begin() = 0;
  // Takes the segment's sums of the GPU of `stream`: `sums` is device memory at layout offsets,
  // zeros between tensors, of which the segment is whole when `stream` has passed. Returns when
  // they are taken; once per GPU, segment and lease. kCancelled: the lease is not the newest one.
  virtual Status Deposit(uint64_t lease, size_t segment, const GpuStream& stream,
                         const int64_t* sums) = 0;
  // Adds up what was left of a segment and brings it to `space`, the host's parameter space;
  // blocks. Errors as of Deposit, and of the GPUs' working together.
  virtual Status Finish(uint64_t lease, size_t segment, int64_t* space) = 0;

  // What one GPU has of the weights.
  struct Share {
    const GpuStream* stream;  // Of the GPU: bytes are there, and memory may be written, behind it.
    std::byte* memory;        // Of all weights, on the GPU.
    size_t offset;            // Of what is there.
    size_t bytes;
  };
  // Brings to each GPU what the others have; blocks. One share of each GPU, disjoint; together
  // whatever shall be everywhere. Errors are of the GPUs' working together.
  virtual Status Gather(std::span<const Share> shares) = 0;
};

// By LocalReduce, over NCCL on these GPUs. Errors say why it cannot: then sums are to be added on
// the host, and each GPU must fetch all weights by itself.
Result<std::shared_ptr<HostReduce>> MakeHostReduce(
    const std::vector<int>& devices, const Layout& layout,
    uint64_t segment_elements = kReduceSegmentElements);

}  // namespace drover

#endif  // DROVER_WORKER_COMM_HOST_REDUCE_H_
