#include <fmt/format.h>

#include <algorithm>

#include "server/coordinator/job_run.h"

namespace drover {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kLeaseTimeMin = seconds(10);
constexpr Duration kLeaseTimeUnmeasured = seconds(120);
constexpr Duration kOverdueMin = seconds(1);
constexpr Duration kPullPatience = seconds(2);
// Asking for a lease and pushing it costs some milliseconds in which a worker computes nothing: a
// lease of less work than this is not worth them.
constexpr double kWorthwhileSeconds = 0.1;

}  // namespace

Duration JobRun::ExpectedTime(const WorkerMember& worker, double samples) const {
  const double speed = worker.samples_per_second;
  if (speed <= 0.0) return Duration(0);
  return duration_cast<Duration>(std::chrono::duration<double>(samples / speed));
}

void JobRun::Dispatch(Turn* turn) {
  if (phase_ != Phase::kCollecting || stopping_ != Stopping::kNo) return;
  for (WorkerMember* worker : members_->WorkersOf(record_->id)) {
    if (!worker->idle || worker->leaving || worker->refused || !worker->described) continue;
    if (worker->version != record_->version) {
      // Who holds the version before has the new one on its way already.
      const bool on_its_way =
          worker->version == record_->version - 1 && turn->now - phase_since_ < kPullPatience;
      if (on_its_way) continue;
      turn->actions.push_back(SendToWorker{worker->session, PullOrder{Here()}});
      worker->idle = false;
    } else if (GiveWork(worker, turn)) {
      worker->idle = false;
    }
  }
}

// Half of this worker's share of what is left, so that leases shrink towards the end: but as many
// as are worthwhile or one per lane, and never more than the share then.
uint32_t JobRun::LeavesFor(const WorkerMember& worker, uint32_t open, double leaf_samples) const {
  const double share =
      members_->SpeedOf(worker) / std::max(members_->TotalSpeed(record_->id), 1e-9);
  const double mine = static_cast<double>(open) * share;
  const double worthwhile = worker.samples_per_second * kWorthwhileSeconds / leaf_samples;
  const double count = std::max(mine / 2.0, std::min(mine, worthwhile));
  return std::min(open, std::max(static_cast<uint32_t>(count + 0.999), std::max(worker.lanes, 1u)));
}

// Evaluation first, since the commit waits for it; then new leaves; then copies of what is overdue.
bool JobRun::GiveWork(WorkerMember* worker, Turn* turn) {
  for (LeaseTable* table : {evaluation_.pieces.get(), leases_.get()}) {
    if (table == nullptr) continue;
    const bool evaluation = table == evaluation_.pieces.get();
    const double unit =
        static_cast<double>(evaluation ? record_->eval_samples : PhaseHere().leaf_samples());
    const uint32_t count = LeavesFor(*worker, table->open_count(), unit);
    const Duration expected = ExpectedTime(*worker, unit * std::max(count, 1u));
    const Instant overdue = turn->now + (expected.count() > 0 ? std::max(2 * expected, kOverdueMin)
                                                              : kLeaseTimeUnmeasured / 2);
    const Instant deadline =
        turn->now +
        (expected.count() > 0 ? std::max(4 * expected, kLeaseTimeMin) : kLeaseTimeUnmeasured);
    std::optional<LeaseTable::Lease> lease =
        table->Grant(worker->session, count, turn->now, overdue, deadline);
    if (!lease) lease = table->Copy(worker->session, turn->now, overdue, deadline);
    if (!lease) continue;
    if (evaluation) {
      SendEvalLease(*lease, worker, turn);
    } else {
      SendLease(*lease, worker, turn);
    }
    last_lease_ = std::max(last_lease_, table->last_id());
    return true;
  }
  return false;
}

void JobRun::SendLease(const LeaseTable::Lease& lease, WorkerMember* worker, Turn* turn) {
  const int64_t timeout_ms = duration_cast<milliseconds>(lease.deadline - turn->now).count();
  turn->actions.push_back(
      SendToWorker{worker->session, LeaseOrder{Here(), lease.id, lease.leaves, timeout_ms}});
  Count(lease.copy    ? CountEvent::What::kLeaseCopy
        : lease.again ? CountEvent::What::kLeaseAgain
                      : CountEvent::What::kLeaseFirst,
        lease.leaves.size(), turn);
}

void JobRun::EndLeases(const LeaseTable& table, const std::vector<LeaseTable::Lease>& ended,
                       CountEvent::What what, const std::string& why, Turn* turn) {
  const CountEvent::What discarded = what == CountEvent::What::kLeaseWorkerLost
                                         ? CountEvent::What::kDiscardedWorkerLost
                                         : CountEvent::What::kDiscardedExpired;
  for (const LeaseTable::Lease& lease : ended) {
    Count(what, 1, turn);
    if (&table == leases_.get()) CountDiscarded(discarded, lease.leaves.size(), turn);
    Log(LogSeverity::kWarning, "coordinator",
        fmt::format("lease {} of leaves [{}, {}) ended: {}", lease.id, lease.leaves.begin,
                    lease.leaves.end, why),
        turn);
  }
}

void JobRun::CountDiscarded(CountEvent::What what, uint32_t leaves, Turn* turn) {
  if (leaves == 0) return;
  Count(what, static_cast<double>(leaves * PhaseHere().leaf_samples()), turn);
}

}  // namespace drover
