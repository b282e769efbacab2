// What connects the GPUs of a host: NCCL, or what tests on emulated devices link instead. Any
// thread.

#ifndef DROVER_WORKER_COMM_HOST_COMMUNICATOR_H_
#define DROVER_WORKER_COMM_HOST_COMMUNICATOR_H_

#include <memory>
#include <vector>

#include "worker/comm/local_communicator.h"

namespace drover {

// Rank r is GPU devices[r]. Errors as of LoadNccl and NcclCommunicator::Make.
Result<std::unique_ptr<LocalCommunicator>> MakeHostCommunicator(const std::vector<int>& devices);

}  // namespace drover

#endif  // DROVER_WORKER_COMM_HOST_COMMUNICATOR_H_
