// Where a worker computes a job: the cores of its CPU, or its GPUs. Plain values.

#ifndef DROVER_WORKER_TRAIN_COMPUTE_DEVICE_H_
#define DROVER_WORKER_TRAIN_COMPUTE_DEVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "proto/drover/v1/job.pb.h"
#include "worker/comm/host_array.h"
#include "worker/comm/host_reduce.h"
#include "worker/nn/leaf_model.h"
#include "worker/nn/weights_inlet.h"
#include "worker/train/job_setup.h"
#include "worker/train/worker_metrics.h"

namespace drover {

struct ComputeDevice {
  std::string name;                   // "CPU", "NVIDIA H100 80GB HBM3": for people.
  std::string numeric_class;          // See worker/nn/numeric_class.h.
  std::vector<LeafModelMaker> lanes;  // One thread each; at least one.
  // Where weights go as they arrive, one of each GPU; none: lanes read them in the host's memory.
  std::vector<std::shared_ptr<WeightsInlet>> inlets = {};
  // One in place of all of these, for GPUs that give each other what one of them has; empty: each
  // GPU takes everything.
  std::function<std::shared_ptr<WeightsInlet>(std::shared_ptr<HostReduce> host, uint64_t elements)>
      make_shared_inlet = {};
  HostMemoryMaker host_memory = PlainHostMemory;  // Of weights and gradients.
  // Adds up the lanes' GPUs; empty: the host does.
  std::function<Result<std::shared_ptr<HostReduce>>(const Layout& layout)> make_reduce = {};
  double peak_flops = 0;  // Per second of all lanes; 0: not known. See gpu_peak_flops.h.
  // Of each GPU, at any time and on any thread; empty on the CPU.
  std::function<std::vector<DeviceMemory>()> read_memory = {};
  // What a job will need of the memory that is free, for people; empty: nothing to say.
  std::function<std::string(const JobSetup& setup)> memory_report = {};
};

// For a job with every default written out. Errors say why this worker cannot serve it.
using DeviceChooser = std::function<Result<ComputeDevice>(const v1::JobSpec& spec)>;

// Never anything else. kFailedPrecondition when the job wants a GPU, or what only GPUs have.
DeviceChooser OnlyCpu(uint32_t lanes);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_COMPUTE_DEVICE_H_
