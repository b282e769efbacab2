// Which device a worker computes a job on: its GPUs if it has some and the job does not say
// otherwise. Thread-safe: functions only.

#ifndef DROVER_WORKER_TRAIN_DEVICE_CHOICE_H_
#define DROVER_WORKER_TRAIN_DEVICE_CHOICE_H_

#include <cstdint>

#include "worker/train/compute_device.h"

namespace drover {

// One lane per GPU, or `cpu_lanes` on the CPU. kFailedPrecondition says what is missing for
// `device: cuda`, kUnimplemented that this build has no CUDA.
DeviceChooser GpusElseCpu(uint32_t cpu_lanes);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_DEVICE_CHOICE_H_
