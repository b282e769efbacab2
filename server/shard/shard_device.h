// Where the numbers of a shard lie and are computed: host memory and cores, or a GPU. Makes the two
// halves that belong together, for one range. Thread-safe: immutable.

#ifndef DROVER_SERVER_SHARD_SHARD_DEVICE_H_
#define DROVER_SERVER_SHARD_SHARD_DEVICE_H_

#include <memory>

#include "common/base/status.h"
#include "server/shard/gradient_sums.h"
#include "server/shard/weight_arrays.h"

namespace drover {

struct RangeArrays {
  std::unique_ptr<GradientSums> sums;
  std::unique_ptr<WeightArrays> weights;
};

class ShardDevice {
 public:
  virtual ~ShardDevice() = default;

  // Empty arrays of the ordered range. kResourceExhausted when it does not fit.
  virtual Result<RangeArrays> MakeRange(const PlaceOrder& place) const = 0;
};

class HostDevice : public ShardDevice {
 public:
  // At least 1, for passes over weights.
  explicit HostDevice(int threads) : threads_(threads) {}
  Result<RangeArrays> MakeRange(const PlaceOrder& place) const override;

 private:
  const int threads_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_DEVICE_H_
