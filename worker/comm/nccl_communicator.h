// LocalCommunicator through NCCL: one communicator per GPU of this host, all in one group. One
// thread.

#ifndef DROVER_WORKER_COMM_NCCL_COMMUNICATOR_H_
#define DROVER_WORKER_COMM_NCCL_COMMUNICATOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/gpu/nccl.h"
#include "worker/comm/local_communicator.h"

namespace drover {

class NcclCommunicator : public LocalCommunicator {
 public:
  // Rank r is GPU devices[r]; one device is enough, none may stand there twice. Blocks while the
  // ranks find each other. `clock` lives longer.
  static Result<std::unique_ptr<NcclCommunicator>> Make(NcclApi nccl, std::vector<int> devices,
                                                        const Clock& clock = Clock::Real());
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int ranks() const override { return static_cast<int>(streams_.size()); }
  const GpuStream& stream(int rank) const override { return streams_[static_cast<size_t>(rank)]; }
  Status ReduceScatterInt64(std::span<int64_t* const> sums, size_t count) override;
  Status AllGather(std::span<std::byte* const> buffers, std::span<const Part> parts) override;
  Status Wait(Duration timeout) override;

 private:
  NcclCommunicator(NcclApi nccl, const Clock& clock) : nccl_(std::move(nccl)), clock_(clock) {}

  // Makes one call for each rank in one group, so that one thread can drive all of them.
  Status Group(const std::string& what, const std::function<NcclResult(size_t rank)>& call);
  // Whether a rank is done; its error when it has failed.
  Result<bool> RankDone(size_t rank) const;
  // Stops all ranks. `why` is the answer from now on, also of this call.
  Status Abort(Status why);

  const NcclApi nccl_;
  const Clock& clock_;
  std::vector<GpuStream> streams_;  // [ranks]
  std::vector<NcclComm> comms_;     // [ranks]; empty after Abort.
  Status broken_;                   // The first error; sticks.
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_NCCL_COMMUNICATOR_H_
