#include "worker/train/gpu_memory_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace drover {
namespace {

double Mebibytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::string Sentence(int64_t micro_batch, const GpuMemoryNeeds& needs, size_t free_bytes) {
  const std::string missing =
      needs.bytes > free_bytes
          ? fmt::format(": {:.1f} MiB are missing", Mebibytes(needs.bytes - free_bytes))
          : std::string();
  const std::string largest = needs.micro_batch > 0
                                  ? fmt::format("the largest that fits is {}", needs.micro_batch)
                                  : std::string("not even a micro-batch of 1 fits");
  return fmt::format("micro_batch={} needs {} of {:.1f} MiB{}; {}", micro_batch, needs.text,
                     Mebibytes(free_bytes), missing, largest);
}

}  // namespace

GpuRoom RoomOf(const std::vector<GpuInfo>& gpus) {
  GpuRoom room = {.free_bytes = SIZE_MAX, .gpus = static_cast<int>(gpus.size())};
  for (const GpuInfo& gpu : gpus) {
    room.free_bytes = std::min(room.free_bytes, static_cast<size_t>(gpu.free_bytes));
  }
  return room;
}

Result<GpuMemoryReport> ReportGpuMemory(const JobSetup& setup, const GpuRoom& room) {
  GpuMemoryReport report;
  for (const JobPhase& phase : setup.phases) {
    const Result<GpuMemoryNeeds> needs = GpuMemoryNeedsOf(
        setup.NetworkOf(phase), {.micro_batch = phase.micro_batch, .precision = setup.precision},
        phase.leaf_samples(), room, setup.recompute);
    if (!needs.ok()) return needs.status();
    if (!report.text.empty()) report.text += "; ";
    report.text += Sentence(phase.micro_batch, needs.value(), room.free_bytes);
    report.fits = report.fits && needs.value().bytes <= room.free_bytes;
  }
  return report;
}

Result<GpuMemoryReport> ReportGpuMemoryHere(const v1::JobSpec& spec,
                                            std::optional<size_t> free_bytes) {
  const Result<JobSetup> setup = SetUpJob(spec);
  if (!setup.ok()) return setup.status();
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (!gpus.ok() && !free_bytes) return gpus.status();
  GpuRoom room = gpus.ok() ? RoomOf(gpus.value()) : GpuRoom();
  room.free_bytes = free_bytes.value_or(room.free_bytes);
  return ReportGpuMemory(setup.value(), room);
}

}  // namespace drover
