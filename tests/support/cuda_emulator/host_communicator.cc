// MakeHostCommunicator of tests on the emulator, which cannot run NCCL.

#include "worker/comm/host_communicator.h"

#include "tests/support/fake_communicator.h"

namespace drover {

Result<std::unique_ptr<LocalCommunicator>> MakeHostCommunicator(const std::vector<int>& devices) {
  return std::unique_ptr<LocalCommunicator>(
      std::make_unique<FakeCommunicator>(static_cast<int>(devices.size()), /*seed=*/1));
}

}  // namespace drover
