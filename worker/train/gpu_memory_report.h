// What a job takes of a GPU's memory and the largest micro-batch that would fit, in words: what a
// worker says when it begins a job, and `drover-worker --memory-of` before there is one. Pure.

#ifndef DROVER_WORKER_TRAIN_GPU_MEMORY_REPORT_H_
#define DROVER_WORKER_TRAIN_GPU_MEMORY_REPORT_H_

#include <cstddef>
#include <string>

#include "common/base/status.h"
#include "worker/train/job_setup.h"

namespace drover {

// One sentence per phase, "; " between them, as for `free_bytes` of device memory:
//   micro_batch=64 needs 12688.1 MiB (...) of 80000.0 MiB; the largest that fits is 512
// Largest of the divisors of a leaf's samples. Errors as of GpuMemoryNeedsOf.
Result<std::string> GpuMemoryReport(const JobSetup& setup, size_t free_bytes);

// The same for the memory that is free on this machine's first GPU now. `spec` with every default
// written out; errors as of SetUpJob and ListGpus too.
Result<std::string> FirstGpuMemoryReport(const v1::JobSpec& spec);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_GPU_MEMORY_REPORT_H_
