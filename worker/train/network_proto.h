// From the model of a job file and the samples of its dataset to a network. Thread-safe: functions
// only.

#ifndef DROVER_WORKER_TRAIN_NETWORK_PROTO_H_
#define DROVER_WORKER_TRAIN_NETWORK_PROTO_H_

#include "common/base/status.h"
#include "proto/drover/v1/model.pb.h"
#include "worker/data/dataset.h"
#include "worker/nn/network_spec.h"

namespace drover {

// The sizes of the network's input and of its last layer come from the dataset. kInvalidArgument
// when the model is of a kind that this worker does not know. What does not fit together is found
// by Model::Make.
Result<NetworkSpec> NetworkOf(const v1::ModelSpec& model, const SampleShape& sample);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_NETWORK_PROTO_H_
