#include "server/coordinator/peer_sessions.h"

#include <utility>

#include "common/base/logging.h"

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
  for (const auto& [id, session] : sessions_) {
    if (session->register_by_.has_value() && now >= *session->register_by_) {
      CloseLocked(session, "it did not say who it is in time");
    }
  }
}

size_t PeerSessions::size() const {
  MutexLock lock(&mutex_);
  return sessions_.size();
}

SessionId PeerSessions::Add(PeerSession* session) {
  MutexLock lock(&mutex_);
  sessions_[++last_id_] = session;
  return last_id_;
}

void PeerSessions::Remove(SessionId id) {
  MutexLock lock(&mutex_);
  sessions_.erase(id);
}

void PeerSessions::CloseLocked(PeerSession* session, const std::string& reason) {
  if (!session->close_reason_.empty()) return;
  session->close_reason_ = reason;
  session->register_by_.reset();
  session->orders_.Close();
  session->cancel_();
  LogInfo("session closed session={} reason=\"{}\"", session->id_, reason);
}

PeerSession::PeerSession(PeerSessions* table, Instant register_by, std::function<void()> cancel)
    : table_(table), cancel_(std::move(cancel)), register_by_(register_by), id_(table->Add(this)) {}

PeerSession::~PeerSession() { table_->Remove(id_); }

void PeerSession::MarkRegistered() {
  MutexLock lock(&table_->mutex_);
  register_by_.reset();
}

std::string PeerSession::close_reason() const {
  MutexLock lock(&table_->mutex_);
  return close_reason_;
}

}  // namespace drover
