// From the layers of a job file to a network. Thread-safe: functions only.

#ifndef DROVER_WORKER_TRAIN_NETWORK_LAYERS_H_
#define DROVER_WORKER_TRAIN_NETWORK_LAYERS_H_

#include "common/base/status.h"
#include "proto/drover/v1/model.pb.h"
#include "worker/data/dataset.h"
#include "worker/nn/network_spec.h"

namespace drover {

// `model`: with at least one layer and every default written out. A dense layer that meets an
// image, but in a residual block, gets a flatten before it. kInvalidArgument when a layer or the
// loss is of a kind that this worker does not know, or one that the dataset has not the samples
// for.
Result<NetworkSpec> NetworkOfLayers(const v1::ModelSpec& model, const SampleShape& sample);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_NETWORK_LAYERS_H_
