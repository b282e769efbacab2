#include "server/coordinator/job_queue.h"

namespace drover {

std::optional<uint64_t> NextJob(const std::map<uint64_t, JobRecord>& jobs) {
  const JobRecord* next = nullptr;
  for (const auto& [id, job] : jobs) {
    if (job.state != JobState::kQueued) continue;
    const bool sooner = next == nullptr || job.plan.priority > next->plan.priority ||
                        (job.plan.priority == next->plan.priority && job.order < next->order);
    if (sooner) next = &job;
  }
  if (next == nullptr) return std::nullopt;
  return next->id;
}

}  // namespace drover
