#include "server/coordinator/job_rows.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/rpc/layout_proto.h"
#include "server/spec.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

LedgerRow LedgerRowOf(const Ledger& ledger) {
  return {ledger.leaves_expected,     ledger.leaves_counted, ledger.leaf_chunks_expected,
          ledger.leaf_chunks_applied, ledger.duplicates,     ledger.refused};
}

Ledger LedgerOf(const LedgerRow& row) {
  return {row.leaves_expected,     row.leaves_counted, row.leaf_chunks_expected,
          row.leaf_chunks_applied, row.duplicates,     row.refused};
}

std::string SerializeSchedule(const ScheduleState& schedule) {
  v1::ScheduleState message;
  message.set_phase_applied(schedule.phase_applied);
  message.set_updates_applied(schedule.updates_applied);
  message.set_noise_gradient_square(schedule.noise.gradient_square);
  message.set_noise_trace(schedule.noise.trace);
  message.set_noise_weight(schedule.noise.weight);
  if (schedule.plateau.version > 0) {
    message.set_evaluated_version(schedule.plateau.version);
    message.set_best_loss(schedule.plateau.best);
    message.set_bad_evaluations(schedule.plateau.bad);
    message.set_reductions(schedule.plateau.reductions);
  }
  return message.SerializeAsString();
}

Status Damaged(const JobRow& row, const std::string& what) {
  return Status(Code::kDataLoss,
                fmt::format("job {} in the job store: {}", JobIdText(row.id), what));
}

Status LoadSpec(const JobRow& row, LoadedJob* job) {
  if (!job->facts.spec.ParseFromString(row.spec)) return Damaged(row, "its spec cannot be read");
  Result<JobPlan> plan = PlanJob(job->facts.spec);
  if (!plan.ok()) return Damaged(row, "its spec is refused: " + plan.status().message());
  job->record.plan = std::move(plan).value();
  return Status();
}

Status LoadLayout(const JobRow& row, JobRecord* record) {
  if (row.layout.empty()) return Status();
  v1::Layout message;
  if (!message.ParseFromString(row.layout)) return Damaged(row, "its layout cannot be read");
  Result<Layout> layout = LayoutFromProto(message);
  if (!layout.ok()) return Damaged(row, layout.status().message());
  if (layout.value().hash() != row.layout_hash) {
    return Damaged(row, fmt::format("its layout has hash {:016x}, expected {:016x}",
                                    layout.value().hash(), row.layout_hash));
  }
  record->layout = std::make_shared<const Layout>(std::move(layout).value());
  return Status();
}

Status LoadLastCommit(JobStore* store, const JobRow& row, JobRecord* record) {
  if (row.step == 0) return Status();
  const Result<CommitRow> commit = store->GetCommit(row.id, row.step - 1);
  if (commit.status().code() == Code::kNotFound) return Status();
  if (!commit.ok()) return commit.status();
  v1::Commit message;
  v1::StepReport report;
  if (!message.ParseFromString(commit.value().commit) ||
      !report.ParseFromString(commit.value().report)) {
    return Damaged(row, "its last commit cannot be read");
  }
  Result<CommitOrder> order = CommitFromProto(message);
  if (!order.ok()) return Damaged(row, order.status().message());
  record->last_commit = std::move(order).value();
  record->last_step = StepSummaryFromProto(report);
  return Status();
}

Status LoadPlacement(JobStore* store, const JobRow& row, JobRecord* record) {
  const Result<std::vector<PlacementRow>> rows = store->GetPlacements(row.id);
  if (!rows.ok()) return rows.status();
  if (!rows.value().empty() && record->layout == nullptr) {
    return Damaged(row, "it is placed but has no layout");
  }
  uint32_t next = 0;
  for (const PlacementRow& placement : rows.value()) {
    if (placement.blocks.begin != next || placement.blocks.end < next) {
      return Damaged(row, "its placement has gaps");
    }
    next = placement.blocks.end;
    record->placement.push_back({placement.shard, placement.blocks});
  }
  if (next != 0 && next != record->layout->block_count()) {
    return Damaged(row, "its placement has gaps");
  }
  return Status();
}

Status LoadSchedule(const JobRow& row, const std::string& bytes, ScheduleState* schedule) {
  v1::ScheduleState message;
  if (!message.ParseFromString(bytes) || message.phase_applied() < 0 ||
      message.updates_applied() < 0 || message.evaluated_version() < 0 ||
      message.bad_evaluations() < 0 || message.reductions() < 0) {
    return Damaged(row, "the state of its schedule cannot be read");
  }
  schedule->phase_applied = message.phase_applied();
  schedule->updates_applied = message.updates_applied();
  schedule->noise = {message.noise_gradient_square(), message.noise_trace(),
                     message.noise_weight()};
  if (message.evaluated_version() == 0) return Status();
  schedule->plateau = {message.evaluated_version(), message.best_loss(), message.bad_evaluations(),
                       message.reductions()};
  return Status();
}

Status LoadCheckpoints(JobStore* store, const JobRow& row, JobRecord* record) {
  const Result<std::vector<CheckpointRow>> rows = store->ListCheckpoints(row.id);
  if (!rows.ok()) return rows.status();
  for (const CheckpointRow& checkpoint : rows.value()) {
    record->checkpoints.push_back({checkpoint.version,
                                   checkpoint.applied,
                                   checkpoint.path,
                                   checkpoint.bytes,
                                   checkpoint.weights_digest,
                                   LedgerOf(checkpoint.ledger),
                                   {}});
    DROVER_RETURN_IF_ERROR(
        LoadSchedule(row, checkpoint.schedule, &record->checkpoints.back().schedule));
  }
  std::sort(record->checkpoints.begin(), record->checkpoints.end(),
            [](const auto& a, const auto& b) { return a.version < b.version; });
  return Status();
}

void LoadScalars(const JobRow& row, LoadedJob* job) {
  JobRecord& record = job->record;
  record.id = row.id;
  record.name = row.name;
  record.state = static_cast<JobState>(row.state);
  record.reason = row.reason;
  record.message = row.message;
  record.epoch = row.epoch;
  record.version = row.step;
  record.applied = row.applied;
  record.consecutive_skips = row.consecutive_skips;
  record.run_seconds = static_cast<double>(row.run_ms) / 1000.0;
  record.ledger = LedgerOf(row.ledger);
  record.workers_lost = row.workers_lost;
  record.shards_restarted = row.shards_restarted;
  record.train_samples = row.train_samples;
  record.eval_samples = row.eval_samples;
  record.data = {row.train_fingerprint, row.eval_fingerprint};
  record.numeric_class = row.numeric_class;
  job->facts.spec_digest = row.spec_digest;
  job->facts.request_id = row.request_id;
  job->facts.owner = row.owner;
  job->facts.created_unix_ms = row.created_unix_ms;
  job->facts.started_unix_ms = row.started_unix_ms;
  job->facts.ended_unix_ms = row.ended_unix_ms;
  job->row = row;
}

}  // namespace

std::string SerializeSpec(const v1::JobSpec& spec) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  spec.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

std::string SerializeLayout(const Layout& layout) {
  return LayoutToProto(layout).SerializeAsString();
}

JobRow RowOf(const JobRecord& record, const JobFacts& facts, const std::string& layout) {
  JobRow row;
  row.id = record.id;
  row.request_id = facts.request_id;
  row.spec_digest = facts.spec_digest;
  row.spec = SerializeSpec(facts.spec);
  row.name = record.name;
  row.created_unix_ms = facts.created_unix_ms;
  row.owner = facts.owner;
  row.epoch = record.epoch;
  row.step = record.version;
  row.applied = record.applied;
  row.consecutive_skips = record.consecutive_skips;
  row.run_ms = static_cast<int64_t>(record.run_seconds * 1000.0);
  row.ledger = LedgerRowOf(record.ledger);
  row.state = static_cast<int32_t>(record.state);
  row.reason = record.reason;
  row.message = record.message;
  row.priority = record.plan.priority;
  row.started_unix_ms = facts.started_unix_ms;
  row.ended_unix_ms = facts.ended_unix_ms;
  row.layout = layout;
  row.layout_hash = record.layout == nullptr ? 0 : record.layout->hash();
  row.numeric_class = record.numeric_class;
  row.train_samples = record.train_samples;
  row.eval_samples = record.eval_samples;
  row.train_fingerprint = record.data.train;
  row.eval_fingerprint = record.data.eval;
  row.workers_lost = record.workers_lost;
  row.shards_restarted = record.shards_restarted;
  if (!record.checkpoints.empty()) {
    row.weights_digest = record.checkpoints.back().weights_digest;
    row.weights_digest_step = record.checkpoints.back().applied;
  }
  if (record.last_eval.has_value()) {
    row.last_eval = EvalReportToProto(*record.last_eval).SerializeAsString();
  }
  row.schedule = SerializeSchedule(record.schedule);
  return row;
}

CommitRow CommitRowOf(const CommitOrder& commit, const v1::StepReport& report) {
  CommitRow row;
  row.step = commit.fence.step;
  row.applied = report.applied();
  row.skip = commit.skip;
  row.commit = CommitToProto(commit).SerializeAsString();
  row.report = report.SerializeAsString();
  return row;
}

CheckpointRow CheckpointRowOf(uint64_t job, const CheckpointRecord& checkpoint,
                              int64_t created_unix_ms) {
  CheckpointRow row;
  row.job = job;
  row.version = checkpoint.version;
  row.applied = checkpoint.applied;
  row.path = checkpoint.path;
  row.bytes = checkpoint.bytes;
  row.weights_digest = checkpoint.weights_digest;
  row.created_unix_ms = created_unix_ms;
  row.ledger = LedgerRowOf(checkpoint.ledger);
  row.schedule = SerializeSchedule(checkpoint.schedule);
  return row;
}

std::vector<PlacementRow> PlacementRowsOf(const std::vector<Placement>& placement) {
  std::vector<PlacementRow> rows;
  for (const Placement& place : placement) rows.push_back({place.shard, place.blocks});
  return rows;
}

Result<LoadedJob> LoadJob(JobStore* store, const JobRow& row) {
  LoadedJob job;
  LoadScalars(row, &job);
  if (row.state < static_cast<int32_t>(JobState::kQueued) ||
      row.state > static_cast<int32_t>(JobState::kFailed)) {
    return Damaged(row, fmt::format("its state is {}", row.state));
  }
  DROVER_RETURN_IF_ERROR(LoadSpec(row, &job));
  DROVER_RETURN_IF_ERROR(LoadLayout(row, &job.record));
  DROVER_RETURN_IF_ERROR(LoadLastCommit(store, row, &job.record));
  DROVER_RETURN_IF_ERROR(LoadPlacement(store, row, &job.record));
  DROVER_RETURN_IF_ERROR(LoadCheckpoints(store, row, &job.record));
  DROVER_RETURN_IF_ERROR(LoadSchedule(row, row.schedule, &job.record.schedule));
  if (!row.last_eval.empty()) {
    v1::EvalReport report;
    if (!report.ParseFromString(row.last_eval)) return Damaged(row, "its evaluation is unreadable");
    job.record.last_eval = EvalSummaryFromProto(report);
  }
  return job;
}

v1::CheckpointInfo CheckpointInfoOf(const CheckpointRow& row) {
  return CheckpointToProto(
      row.job, {row.version, row.applied, row.path, row.bytes, row.weights_digest, {}, {}},
      row.created_unix_ms);
}

}  // namespace drover
