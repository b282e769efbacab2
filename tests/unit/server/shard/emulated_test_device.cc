#include "server/shard/gpu_device.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {

std::shared_ptr<const ShardDevice> TestDevice(int threads) {
  Result<std::shared_ptr<const ShardDevice>> device = OpenShardDevice("cuda:0", threads);
  EXPECT_TRUE(device.ok()) << device.status().ToString();
  return std::move(device).value();
}

}  // namespace drover
