#include "server/coordinator/membership.h"

namespace drover {

std::vector<WorkerMember*> Members::WorkersOf(uint64_t job) {
  std::vector<WorkerMember*> found;
  for (auto& [session, worker] : workers) {
    if (worker.job == job) found.push_back(&worker);
  }
  return found;
}

WorkerMember* Members::FindWorker(SessionId session, uint64_t job) {
  const auto found = workers.find(session);
  return found == workers.end() || found->second.job != job ? nullptr : &found->second;
}

const ShardMember* Members::FindShard(const std::string& name) const {
  for (const auto& [session, shard] : shards) {
    if (shard.name == name) return &shard;
  }
  return nullptr;
}

std::optional<SessionId> Members::WorkerSession(const std::string& name) const {
  for (const auto& [session, worker] : workers) {
    if (worker.name == name) return session;
  }
  return std::nullopt;
}

std::optional<SessionId> Members::ShardSession(const std::string& name) const {
  const ShardMember* shard = FindShard(name);
  if (shard == nullptr) return std::nullopt;
  return shard->session;
}

double Members::SpeedOf(const WorkerMember& worker) const {
  if (worker.samples_per_second > 0.0) return worker.samples_per_second;
  double speed = 0.0;
  uint32_t lanes = 0;
  for (const auto& [session, other] : workers) {
    if (other.job != worker.job || other.samples_per_second <= 0.0) continue;
    speed += other.samples_per_second;
    lanes += other.lanes;
  }
  return lanes == 0 ? worker.lanes : speed / lanes * worker.lanes;
}

double Members::TotalSpeed(uint64_t job) const {
  double total = 0.0;
  for (const auto& [session, worker] : workers) {
    if (worker.job != job) continue;
    if (worker.described && !worker.refused && !worker.leaving) total += SpeedOf(worker);
  }
  return total;
}

}  // namespace drover
