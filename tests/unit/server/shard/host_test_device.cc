#include "tests/unit/server/shard/test_device.h"

namespace drover {

std::shared_ptr<const ShardDevice> TestDevice(int threads) {
  return std::make_shared<HostDevice>(threads);
}

}  // namespace drover
