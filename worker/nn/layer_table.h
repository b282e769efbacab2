// From the description of a layer or head to the object that computes it: the one place that knows
// them all. Thread-safe: functions only.

#ifndef DROVER_WORKER_NN_LAYER_TABLE_H_
#define DROVER_WORKER_NN_LAYER_TABLE_H_

#include <memory>

#include "common/base/status.h"
#include "worker/nn/head.h"
#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

// `input`: what one sample is when it arrives. kInvalidArgument, beginning with the layer's name or
// kind, when its sizes are out of bounds or do not fit the input.
Result<std::unique_ptr<Layer>> MakeLayer(const LayerSpec& spec, const Dims& input,
                                         const LayerSetting& setting);

Result<std::unique_ptr<Head>> MakeHead(const HeadSpec& spec, const Dims& input,
                                       const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LAYER_TABLE_H_
