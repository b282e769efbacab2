// Whether a job fits into a GPU. The plan of a model's memory is a part of the worker's kernels, so
// the worker beside this program is asked: `drover-worker --memory-of`. Main thread only.

#ifndef DROVER_SERVER_CLI_GPU_NEEDS_H_
#define DROVER_SERVER_CLI_GPU_NEEDS_H_

#include <cstdint>
#include <string>

#include "proto/drover/v1/job.pb.h"
#include "server/cli/doctor_facts.h"

namespace drover {

// `spec`: every default written out. `directory`: of the programs. `gpus`: that this machine has;
// `gpu_memory_bytes`: of the GPU that is meant instead, 0 for this machine's. Empty for a job that
// stays on the CPU here.
GpuNeeds GatherGpuNeeds(const v1::JobSpec& spec, const std::string& directory, size_t gpus,
                        int64_t gpu_memory_bytes);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_GPU_NEEDS_H_
