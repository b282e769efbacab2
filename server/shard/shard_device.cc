#include "server/shard/shard_device.h"

#include "server/shard/host_gradient_sums.h"
#include "server/shard/host_weight_arrays.h"

namespace drover {

Result<RangeArrays> HostDevice::MakeRange(const PlaceOrder& place) const {
  RangeArrays arrays;
  arrays.sums = std::make_unique<HostGradientSums>(place.layout, place.blocks);
  arrays.weights =
      std::make_unique<HostWeightArrays>(place.layout, place.blocks, place.rule, threads_);
  return arrays;
}

}  // namespace drover
