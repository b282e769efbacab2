#include "server/coordinator/job_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "common/base/check.h"
#include "common/base/digest.h"
#include "server/coordinator/job_rows.h"

namespace drover {
namespace {

std::string DigestOf(const std::string& bytes) {
  Sha256 digest;
  digest.Update(bytes.data(), bytes.size());
  return digest.HexDigest();
}

std::vector<int64_t> VersionsOf(const std::vector<CheckpointRecord>& checkpoints) {
  std::vector<int64_t> versions;
  for (const CheckpointRecord& checkpoint : checkpoints) versions.push_back(checkpoint.version);
  return versions;
}

// The store knows one kind of request ids; an owner's name has no space in it.
std::string StoredRequestId(const std::string& request_id, const std::string& owner) {
  if (request_id.empty() || owner == kLocalOwner) return request_id;
  return owner + " " + request_id;
}

}  // namespace

Result<std::vector<JobRecord>> JobBook::Load() {
  Result<std::vector<JobRow>> rows = store_->ListJobs();
  if (!rows.ok()) return rows.status();
  std::reverse(rows.value().begin(), rows.value().end());  // Newest first -> oldest first.
  std::vector<JobRecord> records;
  for (const JobRow& row : rows.value()) {
    Result<LoadedJob> job = LoadJob(store_, row);
    if (!job.ok()) return job.status();
    const Result<int64_t> last_sequence = store_->LastSequence(row.id);
    if (!last_sequence.ok()) return last_sequence.status();
    JobRecord record = std::move(job.value().record);
    record.order = ++last_order_;
    Entry& entry = entries_[row.id];
    entry.facts = std::move(job.value().facts);
    entry.saved = row;
    entry.placement = record.placement;
    entry.checkpoints = VersionsOf(record.checkpoints);
    entry.layout = record.layout;
    entry.last_sequence = last_sequence.value();
    signal_->Announce(row.id, entry.last_sequence);
    records.push_back(std::move(record));
  }
  return records;
}

Result<JobStore::Created> JobBook::Create(const std::string& request_id, const v1::JobSpec& spec,
                                          const std::string& owner, JobRecord* record) {
  record->id = NewId();
  record->order = last_order_ + 1;
  record->name = spec.name();
  Entry entry;
  entry.facts.spec = spec;
  entry.facts.spec_digest = DigestOf(SerializeSpec(spec));
  entry.facts.request_id = StoredRequestId(request_id, owner);
  entry.facts.owner = owner;
  entry.facts.created_unix_ms = clock_->UnixMilliseconds();
  entry.saved = RowOf(*record, entry.facts, /*layout=*/"");
  v1::JobEvent event;
  event.set_sequence(1);
  event.set_time_unix_ms(entry.facts.created_unix_ms);
  event.set_state(static_cast<v1::JobState>(record->state));
  entry.last_sequence = 1;
  Result<JobStore::Created> created =
      store_->CreateJob(entry.saved, {{1, entry.facts.created_unix_ms, event.SerializeAsString()}});
  if (!created.ok() || !created.value().is_new) return created;
  ++last_order_;
  entries_[record->id] = std::move(entry);
  signal_->Announce(record->id, 1);
  return created;
}

bool JobBook::HasRequest(const std::string& request_id, const std::string& owner) const {
  if (request_id.empty()) return false;
  const std::string stored = StoredRequestId(request_id, owner);
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return entry.second.saved.request_id == stored; });
}

Status JobBook::Delete(uint64_t job) {
  DROVER_RETURN_IF_ERROR(store_->DeleteJob(job));
  entries_.erase(job);
  signal_->Forget(job);
  return Status();
}

Status JobBook::RaiseEpoch(const drover::RaiseEpoch& action) {
  DROVER_RETURN_IF_ERROR(store_->RaiseEpoch(action.job, action.from, action.to));
  entries_.at(action.job).saved.epoch = action.to;
  return Status();
}

Status JobBook::Save(const JobRecord& record) {
  Entry& entry = entries_.at(record.id);
  JobRow row = NewRow(record, &entry);
  const bool back = row.step < entry.saved.step;
  DROVER_CHECK(row.step <= entry.saved.step);  // Forward only by a commit.
  // The core says so after each change, several times in a turn: a write costs a sync.
  if (row != entry.saved || !entry.pending.empty()) {
    DROVER_RETURN_IF_ERROR(back ? store_->RollBack(row, entry.pending)
                                : store_->UpdateJob(row, entry.pending));
    Written(record.id, std::move(row), &entry);
  }
  // After the row: a placement without its layout could not be read back.
  DROVER_RETURN_IF_ERROR(SavePlacement(record, &entry));
  return ForgetCheckpoints(record, &entry);
}

Status JobBook::SaveCommit(const drover::SaveCommit& action) {
  Entry& entry = entries_.at(action.record.id);
  v1::StepReport report = StepReportToProto(action.summary);
  report.set_time_unix_ms(clock_->UnixMilliseconds());
  const CommitRow commit = CommitRowOf(action.commit, report);
  v1::JobEvent event;
  *event.mutable_step() = std::move(report);
  AddEvent(action.record.id, std::move(event));
  JobRow row = NewRow(action.record, &entry);
  DROVER_RETURN_IF_ERROR(store_->CommitStep(row, commit, entry.pending));
  Written(action.record.id, std::move(row), &entry);
  return Status();
}

Status JobBook::SaveCheckpoint(const drover::SaveCheckpoint& action) {
  Entry& entry = entries_.at(action.job);
  const int64_t now = clock_->UnixMilliseconds();
  v1::JobEvent event;
  *event.mutable_checkpoint() = CheckpointToProto(action.job, action.checkpoint, now);
  AddEvent(action.job, std::move(event));
  JobRow row = entry.saved;
  DROVER_RETURN_IF_ERROR(store_->AddCheckpoint(
      row, CheckpointRowOf(action.job, action.checkpoint, now), entry.pending));
  Written(action.job, std::move(row), &entry);
  std::erase(entry.checkpoints, action.checkpoint.version);
  entry.checkpoints.push_back(action.checkpoint.version);
  std::sort(entry.checkpoints.begin(), entry.checkpoints.end());
  return Status();
}

void JobBook::Add(const LogEvent& event) {
  v1::JobEvent message;
  *message.mutable_log() = LogLineToProto(event);
  AddEvent(event.job, std::move(message));
}

void JobBook::Add(const StateEvent& event) {
  v1::JobEvent message;
  message.set_state(static_cast<v1::JobState>(event.state));
  AddEvent(event.job, std::move(message));
}

void JobBook::Add(const EvalEvent& event) {
  v1::EvalReport report = EvalReportToProto(event.summary);
  report.set_time_unix_ms(clock_->UnixMilliseconds());
  v1::JobEvent message;
  *message.mutable_eval() = report;
  EventRow* const row = AddEvent(event.job, std::move(message));
  if (row == nullptr) return;
  row->evaluated_version = report.version();
  row->evaluation = report.SerializeAsString();
}

Status JobBook::Flush() {
  for (auto& [job, entry] : entries_) {
    if (entry.pending.empty()) continue;
    DROVER_RETURN_IF_ERROR(store_->AppendEvents(job, entry.pending));
    entry.pending.clear();
    signal_->Announce(job, entry.last_sequence);
  }
  return Status();
}

const JobFacts* JobBook::Facts(uint64_t job) const {
  const auto found = entries_.find(job);
  return found == entries_.end() ? nullptr : &found->second.facts;
}

EventRow* JobBook::AddEvent(uint64_t job, v1::JobEvent event) {
  const auto found = entries_.find(job);
  if (found == entries_.end()) return nullptr;
  Entry& entry = found->second;
  event.set_sequence(++entry.last_sequence);
  event.set_time_unix_ms(clock_->UnixMilliseconds());
  entry.pending.push_back({event.sequence(), event.time_unix_ms(), event.SerializeAsString()});
  return &entry.pending.back();
}

JobRow JobBook::NewRow(const JobRecord& record, Entry* entry) {
  const bool waiting = record.state == JobState::kQueued;
  JobFacts& facts = entry->facts;
  if (facts.started_unix_ms == 0 && !waiting) facts.started_unix_ms = clock_->UnixMilliseconds();
  if (facts.ended_unix_ms == 0 && HasEnded(record.state)) {
    facts.ended_unix_ms = clock_->UnixMilliseconds();
  }
  if (record.layout == entry->layout) return RowOf(record, facts, entry->saved.layout);
  entry->layout = record.layout;
  return RowOf(record, facts, record.layout == nullptr ? "" : SerializeLayout(*record.layout));
}

void JobBook::Written(uint64_t job, JobRow row, Entry* entry) {
  entry->saved = std::move(row);
  if (entry->pending.empty()) return;
  entry->pending.clear();
  signal_->Announce(job, entry->last_sequence);
}

Status JobBook::SavePlacement(const JobRecord& record, Entry* entry) {
  if (record.placement == entry->placement) return Status();
  DROVER_RETURN_IF_ERROR(store_->SetPlacements(record.id, PlacementRowsOf(record.placement)));
  entry->placement = record.placement;
  return Status();
}

Status JobBook::ForgetCheckpoints(const JobRecord& record, Entry* entry) {
  const std::vector<int64_t> kept = VersionsOf(record.checkpoints);
  std::vector<int64_t> gone;
  std::set_difference(entry->checkpoints.begin(), entry->checkpoints.end(), kept.begin(),
                      kept.end(), std::back_inserter(gone));
  for (const int64_t version : gone) {
    DROVER_RETURN_IF_ERROR(store_->RemoveCheckpoint(record.id, version));
    std::erase(entry->checkpoints, version);
  }
  return Status();
}

// Random, so that ids of two coordinators do not meet in one folder of checkpoints.
uint64_t JobBook::NewId() const {
  std::random_device device;
  for (;;) {
    const uint64_t id = (uint64_t{device()} << 32) | device();
    if (id != 0 && !entries_.contains(id)) return id;
  }
}

}  // namespace drover
