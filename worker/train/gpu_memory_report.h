// What a job takes of a GPU's memory and the largest micro-batch that would fit, in words: what a
// worker says when it begins a job, and `drover-worker --memory-of`, which `drover doctor` asks,
// before there is one. Pure.

#ifndef DROVER_WORKER_TRAIN_GPU_MEMORY_REPORT_H_
#define DROVER_WORKER_TRAIN_GPU_MEMORY_REPORT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_memory.h"
#include "worker/train/job_setup.h"

namespace drover {

struct GpuMemoryReport {
  // One sentence per phase, "; " between them:
  //   micro_batch=64 needs 12688.1 MiB (...) of 80000.0 MiB; the largest that fits is 512
  //   micro_batch=64 needs 12688.1 MiB (...) of 8000.0 MiB: 4688.1 MiB are missing; the largest
  //   that fits is 16
  std::string text;
  bool fits = true;  // Every phase.
};

// The least of what is free on GPUs that compute one job together.
GpuRoom RoomOf(const std::vector<GpuInfo>& gpus);

// Largest of the divisors of a leaf's samples. Errors as of GpuMemoryNeedsOf.
Result<GpuMemoryReport> ReportGpuMemory(const JobSetup& setup, const GpuRoom& room);

// The same for this machine's GPUs as they are now, or for as many of `free_bytes` each. `spec`
// with every default written out; errors as of SetUpJob too, and of ListGpus without `free_bytes`.
Result<GpuMemoryReport> ReportGpuMemoryHere(const v1::JobSpec& spec,
                                            std::optional<size_t> free_bytes);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_GPU_MEMORY_REPORT_H_
