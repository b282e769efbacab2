// A job in the middle of its run, for tests of what is shown. Values only.

#ifndef DROVER_TESTS_UNIT_SERVER_CLI_SAMPLE_JOB_H_
#define DROVER_TESTS_UNIT_SERVER_CLI_SAMPLE_JOB_H_

#include <cstdint>

#include "proto/drover/v1/job.pb.h"

namespace drover {

inline v1::Job SampleJob() {
  v1::Job job;
  job.set_id("00000000000000a7");
  job.set_state(v1::JOB_STATE_RUNNING);
  v1::JobSpec* const spec = job.mutable_spec();
  spec->set_name("digits-lamb");
  spec->mutable_model()->mutable_mlp()->add_hidden(256);
  spec->mutable_dataset()->mutable_synthetic_digits();
  spec->set_batch(32768);
  spec->set_steps(200);
  spec->mutable_optimizer()->mutable_lamb();
  spec->mutable_schedule()->set_peak(0.02);
  job.set_workers(2);
  job.set_shards(2);
  return job;
}

// Step `step` of SampleJob, which took `seconds`.
inline v1::JobEvent SampleStep(int64_t step, double seconds) {
  v1::JobEvent event;
  event.set_sequence(step + 1);
  v1::StepReport* const report = event.mutable_step();
  report->set_step(step);
  report->set_applied(step + 1);
  report->set_loss(0.1832);
  report->set_accuracy(0.947);
  report->set_samples(32768);
  report->set_learning_rate(0.0171);
  report->set_gradient_norm(0.82);
  report->set_clip_factor(1);
  report->set_seconds(seconds);
  report->set_samples_per_second(32768 / seconds);
  report->set_trust_ratio_min(0.004);
  report->set_trust_ratio_median(0.031);
  report->set_trust_ratio_max(0.27);
  return event;
}

// SampleJob after its end.
inline v1::Job EndedJob() {
  v1::Job job = SampleJob();
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_step(200);
  job.set_start_time_unix_ms(1'000'000);
  job.set_end_time_unix_ms(1'064'000);
  *job.mutable_last_step() = SampleStep(199, 0.32).step();
  job.mutable_last_eval()->set_version(200);
  job.mutable_last_eval()->set_accuracy(0.9731);
  job.mutable_last_eval()->set_loss(0.0712);
  job.mutable_last_eval()->set_samples(10'000);
  job.mutable_spec()->mutable_target()->set_metric(v1::TargetSpec::METRIC_ACCURACY);
  job.mutable_spec()->mutable_target()->set_at_least(0.97);
  job.mutable_ledger()->set_leaves_expected(6400);
  job.mutable_ledger()->set_leaves_counted(6400);
  job.mutable_ledger()->set_leaf_chunks_expected(51'200);
  job.mutable_ledger()->set_leaf_chunks_applied(51'200);
  job.mutable_ledger()->set_duplicates(12);
  job.set_weights_digest(std::string(64, 'd'));
  job.set_weights_digest_step(200);
  return job;
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_CLI_SAMPLE_JOB_H_
