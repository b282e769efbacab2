#include "server/coordinator/job_proto.h"

#include <fmt/format.h>

namespace drover {
namespace {

const char* LevelName(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kInfo:
      return "info";
    case LogSeverity::kWarning:
      return "warning";
    case LogSeverity::kError:
      return "error";
  }
  return "info";
}

}  // namespace

std::string JobIdText(uint64_t id) { return fmt::format("{:016x}", id); }

v1::Job JobToProto(const JobRecord& record, const JobFacts& facts) {
  v1::Job job;
  job.set_id(JobIdText(record.id));
  *job.mutable_spec() = facts.spec;
  job.set_state(static_cast<v1::JobState>(record.state));
  job.set_reason(record.reason);
  job.set_message(record.message);
  job.set_epoch(record.epoch);
  job.set_step(record.version);
  job.set_create_time_unix_ms(facts.created_unix_ms);
  job.set_start_time_unix_ms(facts.started_unix_ms);
  job.set_end_time_unix_ms(facts.ended_unix_ms);
  if (record.last_step.has_value()) {
    *job.mutable_last_step() = StepReportToProto(*record.last_step);
  }
  if (record.last_eval.has_value()) {
    *job.mutable_last_eval() = EvalReportToProto(*record.last_eval);
  }
  *job.mutable_ledger() = LedgerToProto(record.ledger);
  if (!record.checkpoints.empty()) {
    job.set_weights_digest(record.checkpoints.back().weights_digest);
    job.set_weights_digest_step(record.checkpoints.back().applied);
  }
  job.set_workers_lost(record.workers_lost);
  job.set_shards_restarted(record.shards_restarted);
  job.set_parameters(record.layout == nullptr ? 0 : record.layout->parameter_count());
  job.set_numeric_class(record.numeric_class);
  job.set_owner(facts.owner);
  return job;
}

v1::StepReport StepReportToProto(const StepSummary& summary) {
  v1::StepReport report;
  report.set_step(summary.step);
  report.set_applied(summary.applied);
  report.set_skipped(summary.skipped);
  report.set_skip_reason(summary.skip_reason);
  report.set_loss(summary.loss);
  report.set_accuracy(summary.accuracy);
  report.set_samples(summary.samples);
  report.set_learning_rate(summary.learning_rate);
  report.set_gradient_norm(summary.gradient_norm);
  report.set_clip_factor(summary.clip_factor);
  report.set_seconds(summary.seconds);
  report.set_samples_per_second(
      summary.seconds > 0 ? static_cast<double>(summary.samples) / summary.seconds : 0);
  report.set_trust_ratio_min(summary.trust_ratio_min);
  report.set_trust_ratio_median(summary.trust_ratio_median);
  report.set_trust_ratio_max(summary.trust_ratio_max);
  if (summary.weight_norm) report.set_weight_norm(*summary.weight_norm);
  if (summary.update_norm) report.set_update_norm(*summary.update_norm);
  if (summary.noise_scale) report.set_gradient_noise_scale(*summary.noise_scale);
  report.set_tokens(summary.tokens);
  return report;
}

v1::EvalReport EvalReportToProto(const EvalSummary& summary) {
  v1::EvalReport report;
  report.set_version(summary.version);
  report.set_loss(summary.loss);
  report.set_accuracy(summary.accuracy);
  report.set_samples(summary.samples);
  report.set_masked_loss(summary.masked_loss);
  report.set_masked_accuracy(summary.masked_accuracy);
  report.set_masked_tokens(summary.masked_tokens);
  return report;
}

v1::Ledger LedgerToProto(const Ledger& ledger) {
  v1::Ledger message;
  message.set_leaves_expected(ledger.leaves_expected);
  message.set_leaves_counted(ledger.leaves_counted);
  message.set_leaf_chunks_expected(ledger.leaf_chunks_expected);
  message.set_leaf_chunks_applied(ledger.leaf_chunks_applied);
  message.set_duplicates(ledger.duplicates);
  message.set_refused(ledger.refused);
  return message;
}

v1::CheckpointInfo CheckpointToProto(uint64_t job, const CheckpointRecord& checkpoint,
                                     int64_t created_unix_ms) {
  v1::CheckpointInfo info;
  info.set_id(fmt::format("{}-{}", JobIdText(job), checkpoint.version));
  info.set_job_id(JobIdText(job));
  info.set_version(checkpoint.version);
  info.set_applied(checkpoint.applied);
  info.set_path(checkpoint.path);
  info.set_bytes(checkpoint.bytes);
  info.set_weights_digest(checkpoint.weights_digest);
  info.set_create_time_unix_ms(created_unix_ms);
  return info;
}

v1::LogLine LogLineToProto(const LogEvent& event) {
  v1::LogLine line;
  line.set_level(LevelName(event.severity));
  line.set_task(event.task);
  line.set_text(event.text);
  return line;
}

StepSummary StepSummaryFromProto(const v1::StepReport& message) {
  StepSummary summary;
  summary.step = message.step();
  summary.applied = message.applied();
  summary.skipped = message.skipped();
  summary.skip_reason = message.skip_reason();
  summary.loss = message.loss();
  summary.accuracy = message.accuracy();
  summary.samples = message.samples();
  summary.learning_rate = message.learning_rate();
  summary.gradient_norm = message.gradient_norm();
  summary.clip_factor = message.clip_factor();
  summary.seconds = message.seconds();
  summary.trust_ratio_min = message.trust_ratio_min();
  summary.trust_ratio_median = message.trust_ratio_median();
  summary.trust_ratio_max = message.trust_ratio_max();
  if (message.has_weight_norm()) summary.weight_norm = message.weight_norm();
  if (message.has_update_norm()) summary.update_norm = message.update_norm();
  if (message.has_gradient_noise_scale()) summary.noise_scale = message.gradient_noise_scale();
  summary.tokens = message.tokens();
  return summary;
}

EvalSummary EvalSummaryFromProto(const v1::EvalReport& message) {
  return {message.version(),      message.loss(),        message.accuracy(),
          message.samples(),      message.masked_loss(), message.masked_accuracy(),
          message.masked_tokens()};
}

}  // namespace drover
