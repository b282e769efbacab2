#include "server/coordinator/lease_table.h"

#include <algorithm>

namespace drover {

LeaseTable::LeaseTable(const LeafSet& done, bool singles, uint64_t last_id)
    : done_(done), leased_(done.leaves(), 0), group_(done.leaves(), 0), last_id_(last_id) {
  if (!singles) return;
  for (uint64_t& group : group_) group = ++last_id_;
}

std::optional<LeaseTable::Lease> LeaseTable::Grant(SessionId worker, uint32_t leaves_max,
                                                   Instant now, Instant overdue, Instant deadline) {
  uint32_t begin = 0;
  while (begin < done_.leaves() && !IsOpen(begin)) ++begin;
  if (begin == done_.leaves() || leaves_max == 0) return std::nullopt;
  uint32_t end = begin + 1;
  while (end < done_.leaves() && end - begin < leaves_max && IsOpen(end) &&
         group_[end] == group_[begin]) {
    ++end;
  }
  Lease lease{++last_id_, {begin, end}, worker, now, overdue, deadline, group_[begin] != 0, false};
  for (uint32_t leaf = begin; leaf < end; ++leaf) {
    ++leased_[leaf];
    group_[leaf] = lease.id;
  }
  live_[lease.id] = lease;
  return lease;
}

std::optional<LeaseTable::Lease> LeaseTable::Copy(SessionId worker, Instant now, Instant overdue,
                                                  Instant deadline) {
  for (const auto& [id, original] : live_) {
    if (original.worker == worker || original.overdue > now) continue;
    if (leased_[original.leaves.begin] > 1 || done_.ContainsAll(original.leaves)) continue;
    Lease lease{++last_id_, original.leaves, worker, now, overdue, deadline, true, true};
    for (uint32_t leaf = lease.leaves.begin; leaf < lease.leaves.end; ++leaf) ++leased_[leaf];
    live_[lease.id] = lease;
    return lease;
  }
  return std::nullopt;
}

std::optional<LeaseTable::Lease> LeaseTable::Done(uint64_t id, SessionId worker) {
  const auto found = live_.find(id);
  if (found == live_.end() || found->second.worker != worker) return std::nullopt;
  const Lease lease = found->second;
  End(lease);
  done_.Add(lease.leaves);
  return lease;
}

std::vector<LeaseTable::Lease> LeaseTable::Expire(Instant now) {
  std::vector<Lease> ended;
  for (const auto& [id, lease] : live_) {
    if (lease.deadline <= now) ended.push_back(lease);
  }
  for (const Lease& lease : ended) End(lease);
  return ended;
}

std::vector<LeaseTable::Lease> LeaseTable::ReleaseWorker(SessionId worker) {
  std::vector<Lease> ended;
  for (const auto& [id, lease] : live_) {
    if (lease.worker == worker) ended.push_back(lease);
  }
  for (const Lease& lease : ended) End(lease);
  return ended;
}

std::vector<LeaseTable::Lease> LeaseTable::GiveUp(SessionId worker) {
  std::vector<Lease> ended = ReleaseWorker(worker);
  for (const Lease& lease : ended) {
    for (uint32_t leaf = lease.leaves.begin; leaf < lease.leaves.end; ++leaf) {
      group_[leaf] = ++last_id_;
    }
  }
  return ended;
}

std::optional<LeafRange> LeaseTable::Shorten(uint64_t id, SessionId worker, uint32_t leaf_begin) {
  const auto found = live_.find(id);
  if (found == live_.end() || found->second.worker != worker) return std::nullopt;
  LeafRange& leaves = found->second.leaves;
  if (leaf_begin < leaves.begin || leaf_begin >= leaves.end) return std::nullopt;
  const LeafRange returned = {leaf_begin, leaves.end};
  ++last_id_;
  for (uint32_t leaf = returned.begin; leaf < returned.end; ++leaf) {
    --leased_[leaf];
    group_[leaf] = last_id_;
  }
  leaves.end = leaf_begin;
  if (leaves.size() == 0) live_.erase(found);
  return returned;
}

uint32_t LeaseTable::open_count() const {
  uint32_t open = 0;
  for (uint32_t leaf = 0; leaf < done_.leaves(); ++leaf) open += IsOpen(leaf) ? 1 : 0;
  return open;
}

void LeaseTable::End(const Lease& lease) {
  const LeafRange leaves = lease.leaves;
  live_.erase(lease.id);
  for (uint32_t leaf = leaves.begin; leaf < leaves.end; ++leaf) --leased_[leaf];
}

}  // namespace drover
