#include "server/coordinator/job_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace drover {
namespace {

bool ComesFirst(const QueueJob& a, const QueueJob& b) {
  if (a.priority != b.priority) return a.priority > b.priority;
  return a.order != b.order ? a.order < b.order : a.id < b.id;
}

std::string Workers(uint64_t count) {
  return fmt::format("{} worker{}", count, count == 1 ? "" : "s");
}

class Round {
 public:
  Round(std::vector<QueueJob> jobs, std::vector<FreeWorker> free, const QueueLimits& limits)
      : jobs_(std::move(jobs)), free_(std::move(free)), limits_(limits) {
    std::sort(jobs_.begin(), jobs_.end(), ComesFirst);
    for (const QueueJob& job : jobs_) running_ += job.running ? 1 : 0;
  }

  QueuePlan Plan() {
    for (QueueJob& job : jobs_) {
      if (job.running) FillUpTo(job.min_workers, &job);
    }
    bool blocked = false;
    for (QueueJob& job : jobs_) {
      if (blocked) {
        if (!job.running)
          plan_.waits[job.id] = {"WAITING_FOR_TURN", "waits for the jobs before it"};
        continue;
      }
      if (!job.running) blocked = !Start(&job);
      if (!blocked) FillUpTo(job.max_workers == 0 ? UINT32_MAX : job.max_workers, &job);
    }
    return std::move(plan_);
  }

 private:
  bool MayServe(const FreeWorker& worker, const QueueJob& job) const {
    return !worker.refused_by.contains(job.id);
  }

  void FillUpTo(uint32_t workers, QueueJob* job) {
    for (auto worker = free_.begin(); worker != free_.end() && job->workers < workers;) {
      if (!MayServe(*worker, *job)) {
        ++worker;
        continue;
      }
      plan_.workers.emplace_back(worker->session, job->id);
      ++job->workers;
      worker = free_.erase(worker);
    }
  }

  // False when it has to wait.
  bool Start(QueueJob* job) {
    QueuePlan::Wait& wait = plan_.waits[job->id];
    const uint64_t free = static_cast<uint64_t>(std::count_if(
        free_.begin(), free_.end(), [&](const auto& worker) { return MayServe(worker, *job); }));
    if (limits_.shards < limits_.shards_min) {
      wait = {"WAITING_FOR_SHARDS",
              fmt::format("{} of {} shards are there", limits_.shards, limits_.shards_min)};
    } else if (running_ >= limits_.running_max) {
      wait = {"WAITING_FOR_TURN", fmt::format("{} jobs run already", running_)};
    } else if (free < job->min_workers) {
      wait = {"WAITING_FOR_WORKERS",
              fmt::format("waits for {}, {} {} free", Workers(job->min_workers), free,
                          free == 1 ? "is" : "are")};
    } else {
      plan_.waits.erase(job->id);
      plan_.start.push_back(job->id);
      ++running_;
      return true;
    }
    return false;
  }

  std::vector<QueueJob> jobs_;
  std::vector<FreeWorker> free_;
  const QueueLimits limits_;
  uint32_t running_ = 0;
  QueuePlan plan_;
};

}  // namespace

QueuePlan PlanQueue(std::vector<QueueJob> jobs, std::vector<FreeWorker> free,
                    const QueueLimits& limits) {
  return Round(std::move(jobs), std::move(free), limits).Plan();
}

}  // namespace drover
