// The part of CoordinatorRuntime that describes the cluster to the status page, on the runtime's
// thread.

#include <algorithm>
#include <map>
#include <utility>

#include "server/coordinator/coordinator_runtime.h"

namespace drover {
namespace {

// Jobs that hold shards and workers come first, then those that will, then those that have ended.
int RankOf(JobState state) {
  switch (state) {
    case JobState::kStarting:
    case JobState::kRunning:
    case JobState::kRecovering:
    case JobState::kSuspending:
    case JobState::kCancelling:
      return 0;
    case JobState::kQueued:
    case JobState::kSuspended:
      return 1;
    case JobState::kCancelled:
    case JobState::kSucceeded:
    case JobState::kFailed:
      return 2;
  }
  return 2;
}

uint64_t ElementsOf(const Layout& layout, BlockRange range) {
  uint64_t elements = 0;
  for (uint32_t block = range.begin; block < range.end; ++block) {
    elements += layout.blocks()[block].size;
  }
  return elements;
}

}  // namespace

StatusJob CoordinatorRuntime::StatusOf(const JobRecord& record) const {
  StatusJob job;
  job.id = JobIdText(record.id);
  job.name = record.name;
  job.state = JobStateName(record.state);
  job.reason = record.reason;
  job.message = record.message;
  job.step = record.version;
  job.steps = record.plan.steps;
  job.skipped = record.version - record.applied;
  job.batch = record.plan.PhaseAt(record.version).batch;
  job.rule = drover::StateOf(record.plan.optimizer).name();
  job.parameters = record.layout == nullptr ? 0 : record.layout->parameter_count();
  job.epoch = record.epoch;
  job.workers_lost = record.workers_lost;
  job.shards_restarted = record.shards_restarted;
  if (!record.checkpoints.empty()) {
    job.checkpoint_version = record.checkpoints.back().version;
    job.weights_digest = record.checkpoints.back().weights_digest;
  }
  if (const JobFacts* facts = book_.Facts(record.id)) {
    job.created_unix_ms = facts->created_unix_ms;
    job.started_unix_ms = facts->started_unix_ms;
    job.ended_unix_ms = facts->ended_unix_ms;
  }
  if (record.last_step.has_value() && !record.last_step->skipped) {
    job.loss = record.last_step->loss;
    job.accuracy = record.last_step->accuracy;
  }
  if (record.last_eval.has_value()) {
    job.eval_loss = record.last_eval->loss;
    job.eval_accuracy = record.last_eval->accuracy;
  }
  const double seconds = parts_.observer->FiguresOf(record.id).step_seconds;
  if (record.state == JobState::kRunning && seconds > 0) {
    job.step_seconds = seconds;
    job.samples_per_second = static_cast<double>(job.batch) / seconds;
  }
  return job;
}

std::vector<StatusWorker> CoordinatorRuntime::StatusOfWorkers() const {
  std::map<uint64_t, std::map<std::string, double>> lateness;  // By job and worker.
  std::vector<StatusWorker> workers;
  for (const Coordinator::WorkerView& view : core_.Workers()) {
    const JobRecord* record = core_.FindJob(view.job);
    StatusWorker worker;
    worker.name = view.name;
    worker.numeric_class = view.numeric_class;
    worker.lanes = view.lanes;
    worker.note = view.refusal;
    worker.samples_per_second = view.samples_per_second;
    worker.state = view.leaving            ? "leaving"
                   : !view.refusal.empty() ? "refused"
                   : record == nullptr     ? "idle"
                   : view.described        ? "active"
                                           : "joining";
    if (record != nullptr && view.described) {
      worker.job = JobIdText(record->id);
      if (view.version >= 0) worker.lag_steps = record->version - view.version;
      const auto [of_job, is_new] = lateness.try_emplace(view.job);
      if (is_new) of_job->second = parts_.observer->FiguresOf(view.job).lateness_seconds;
      const auto late = of_job->second.find(view.name);
      if (late != of_job->second.end()) worker.lateness_seconds = late->second;
    }
    workers.push_back(std::move(worker));
  }
  std::sort(workers.begin(), workers.end(),
            [](const StatusWorker& a, const StatusWorker& b) { return a.name < b.name; });
  return workers;
}

std::vector<StatusShard> CoordinatorRuntime::StatusOfShards() const {
  std::map<std::string, StatusShard> shards;
  for (const Coordinator::ShardView& view : core_.Shards()) {
    shards[view.name] = {view.name, view.address, {}};
  }
  for (const auto& [id, record] : core_.jobs()) {
    if (RankOf(record.state) != 0 || record.layout == nullptr) continue;
    const uint64_t arrays =
        static_cast<uint64_t>(1 + drover::StateOf(record.plan.optimizer).arrays());
    for (const Placement& placement : record.placement) {
      StatusShard& shard = shards[placement.shard];
      shard.name = placement.shard;
      shard.parts.push_back(
          {JobIdText(id), placement.blocks.begin, placement.blocks.end,
           ElementsOf(*record.layout, placement.blocks) * arrays * sizeof(float)});
    }
  }
  std::vector<StatusShard> list;
  for (auto& [name, shard] : shards) list.push_back(std::move(shard));
  return list;
}

StatusFacts CoordinatorRuntime::StatusHere(const std::string& job) const {
  StatusFacts facts;
  facts.now_unix_ms = parts_.clock->UnixMilliseconds();
  facts.shards_min = shards_min_;
  facts.jobs_total = static_cast<int64_t>(core_.jobs().size());
  std::vector<const JobRecord*> records;
  std::map<std::string, int64_t> newest;
  for (const auto& [id, record] : core_.jobs()) {
    records.push_back(&record);
    newest[record.name] = std::max(newest[record.name], record.order);
  }
  std::sort(records.begin(), records.end(), [](const JobRecord* a, const JobRecord* b) {
    const int rank_a = RankOf(a->state);
    const int rank_b = RankOf(b->state);
    return rank_a != rank_b ? rank_a < rank_b : a->order > b->order;
  });
  const Result<const JobRecord*> found = Find(job);
  const JobRecord* selected = found.ok() ? found.value() : nullptr;
  if (selected == nullptr && !records.empty()) selected = records.front();
  if (selected != nullptr) facts.selected = JobIdText(selected->id);
  for (size_t i = 0; i < records.size(); ++i) {
    if (i >= kStatusRowsMax && records[i] != selected) continue;
    StatusJob row = StatusOf(*records[i]);
    row.is_newest_of_name = newest[row.name] == records[i]->order;
    facts.jobs.push_back(std::move(row));
  }
  facts.workers = StatusOfWorkers();
  facts.workers_total = static_cast<int64_t>(facts.workers.size());
  facts.workers.resize(std::min(facts.workers.size(), kStatusRowsMax));
  facts.shards = StatusOfShards();
  facts.shards_total = static_cast<int64_t>(core_.Shards().size());
  facts.shards.resize(std::min(facts.shards.size(), kStatusRowsMax));
  return facts;
}

}  // namespace drover
