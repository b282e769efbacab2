// MakeHostCommunicator of programs for machines with GPUs.

#include <utility>

#include "worker/comm/host_communicator.h"
#include "worker/comm/nccl_communicator.h"

namespace drover {

Result<std::unique_ptr<LocalCommunicator>> MakeHostCommunicator(const std::vector<int>& devices) {
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) return nccl.status();
  Result<std::unique_ptr<NcclCommunicator>> made =
      NcclCommunicator::Make(std::move(nccl).value(), devices);
  if (!made.ok()) return made.status();
  return std::unique_ptr<LocalCommunicator>(std::move(made).value());
}

}  // namespace drover
