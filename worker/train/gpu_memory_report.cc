#include "worker/train/gpu_memory_report.h"

#include <fmt/format.h>

#include "common/gpu/device.h"
#include "worker/nn/gpu_memory.h"

namespace drover {

Result<std::string> GpuMemoryReport(const JobSetup& setup, size_t free_bytes) {
  std::string report;
  for (const JobPhase& phase : setup.phases) {
    const Result<GpuMemoryNeeds> needs = GpuMemoryNeedsOf(
        setup.NetworkOf(phase), {.micro_batch = phase.micro_batch, .precision = setup.precision},
        phase.leaf_samples(), free_bytes, setup.recompute);
    if (!needs.ok()) return needs.status();
    const std::string largest =
        needs.value().micro_batch > 0
            ? fmt::format("the largest that fits is {}", needs.value().micro_batch)
            : std::string("not even a micro-batch of 1 fits");
    report += fmt::format("{}micro_batch={} needs {} of {:.1f} MiB; {}", report.empty() ? "" : "; ",
                          phase.micro_batch, needs.value().text,
                          static_cast<double>(free_bytes) / (1 << 20), largest);
  }
  return report;
}

Result<std::string> FirstGpuMemoryReport(const v1::JobSpec& spec) {
  const Result<JobSetup> setup = SetUpJob(spec);
  if (!setup.ok()) return setup.status();
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (!gpus.ok()) return gpus.status();
  return GpuMemoryReport(setup.value(), static_cast<size_t>(gpus.value().front().free_bytes));
}

}  // namespace drover
