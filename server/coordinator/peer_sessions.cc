#include "server/coordinator/peer_sessions.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/logging.h"
#include "common/rpc/channel.h"

namespace drover {

void PeerSessions::Send(SessionId id, PeerOrder order) {
  MutexLock lock(&mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  PeerSession* session = found->second;
  if (session->orders_.TryPush(std::move(order)) || session->orders_.closed()) return;
  CloseLocked(session, "it has stopped reading: too many orders are waiting for it");
}

void PeerSessions::Close(SessionId id, const std::string& reason) {
  MutexLock lock(&mutex_);
  const auto found = sessions_.find(id);
  if (found != sessions_.end()) CloseLocked(found->second, reason);
}

void PeerSessions::CloseAll(const std::string& reason) {
  MutexLock lock(&mutex_);
  for (const auto& [id, session] : sessions_) CloseLocked(session, reason);
}

void PeerSessions::CloseSilent(Instant now) {
  MutexLock lock(&mutex_);
  const Duration gap = now - looked_.value_or(now) - std::chrono::milliseconds(kListeningGapMs);
  const Duration deaf = std::max(gap, Duration(0));
  looked_ = now;
  for (const auto& [id, session] : sessions_) {
    session->speak_by_ = session->speak_by_ + deaf;
    if (now < session->speak_by_) continue;
    CloseLocked(session, session->heard_
                             ? "nothing was heard of it in time: it is frozen or cut off"
                             : "it did not say who it is in time");
  }
}

size_t PeerSessions::size() const {
  MutexLock lock(&mutex_);
  return sessions_.size();
}

void PeerSessions::Add(PeerSession* session) {
  MutexLock lock(&mutex_);
  const auto same = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    return entry.second->kind_ == session->kind_;
  });
  if (static_cast<size_t>(same) >= limit(session->kind_)) return;
  session->id_ = ++last_id_;
  sessions_[session->id_] = session;
}

void PeerSessions::Remove(SessionId id) {
  MutexLock lock(&mutex_);
  sessions_.erase(id);
}

void PeerSessions::CloseLocked(PeerSession* session, const std::string& reason) {
  if (!session->close_reason_.empty()) return;
  session->close_reason_ = reason;
  session->orders_.Close();
  session->cancel_();
  LogInfo("session closed session={} reason=\"{}\"", session->id_, reason);
}

PeerSession::PeerSession(PeerSessions* table, PeerKind kind, Instant register_by,
                         std::function<void()> cancel)
    : table_(table), kind_(kind), cancel_(std::move(cancel)), speak_by_(register_by) {
  table_->Add(this);
}

PeerSession::~PeerSession() { table_->Remove(id_); }

void PeerSession::Heard(Instant again_by) {
  MutexLock lock(&table_->mutex_);
  heard_ = true;
  speak_by_ = again_by;
}

std::string PeerSession::close_reason() const {
  MutexLock lock(&table_->mutex_);
  return close_reason_;
}

}  // namespace drover
