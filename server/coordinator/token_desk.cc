#include "server/coordinator/token_desk.h"

#include <variant>

#include "common/tls/job_token.h"

namespace drover {

void TokenDesk::OnEvent(const CoordinatorEvent& event) {
  if (const auto* joined = std::get_if<WorkerJoined>(&event)) {
    workers_[joined->session] = {joined->name, std::nullopt};
  } else if (const auto* left = std::get_if<WorkerLeft>(&event)) {
    workers_.erase(left->session);
  } else if (const auto* deleted = std::get_if<JobDeleted>(&event)) {
    keys_.erase(deleted->job);
  }
}

const std::string& TokenDesk::KeyOf(uint64_t job, uint32_t epoch) {
  EpochKey& held = keys_[job];
  if (held.key.empty() || held.epoch != epoch) held = {epoch, new_key_()};
  return held.key;
}

std::string TokenDesk::Grant(SessionId session, uint64_t job, uint32_t epoch, int64_t now_unix_s) {
  const auto worker = workers_.find(session);
  if (worker == workers_.end()) return "";
  worker->second.granted = {job, epoch, now_unix_s};
  return SealJobToken(KeyOf(job, epoch), {job, epoch, kVerbPush | kVerbPull,
                                          now_unix_s + kJobTokenSeconds, worker->second.name});
}

void TokenDesk::EndGrant(SessionId session, uint64_t job) {
  const auto worker = workers_.find(session);
  if (worker == workers_.end()) return;
  std::optional<Granted>& granted = worker->second.granted;
  if (granted && granted->job == job) granted.reset();
}

std::vector<TokenDesk::Renewal> TokenDesk::Renew(int64_t now_unix_s) {
  std::vector<Renewal> renewals;
  for (auto& [session, worker] : workers_) {
    if (!worker.granted) continue;
    const Granted granted = *worker.granted;
    const auto key = keys_.find(granted.job);
    if (key == keys_.end() || key->second.epoch != granted.epoch) {
      worker.granted.reset();  // A newer assignment follows, or none.
      continue;
    }
    // A clock that was turned back makes old grants young; then all are renewed at once.
    const int64_t age = now_unix_s - granted.at_unix_s;
    if (age >= 0 && age < kJobTokenRenewSeconds) continue;
    renewals.push_back({session, granted.job, granted.epoch,
                        Grant(session, granted.job, granted.epoch, now_unix_s)});
  }
  return renewals;
}

}  // namespace drover
