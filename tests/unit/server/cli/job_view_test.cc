#include "server/cli/job_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "common/config/job_file.h"
#include "server/spec.h"
#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(JobViewTest, ListsJobs) {
  v1::Job ended = EndedJob();
  ended.set_create_time_unix_ms(1'000);

  EXPECT_EQ(JobTable({ended, SampleJob()}, 61'000, false),
            "ID                NAME         STATE      WORKERS  PROGRESS       LOSS    ACCURACY  "
            "SAMPLES/S  AGE\n"
            "00000000000000a7  digits-lamb  SUCCEEDED  2        200/200 100 %  0.1832  0.973     "
            "102k       60 s\n"
            "00000000000000a7  digits-lamb  RUNNING    2        0/200 0 %      -       -         "
            "-          61 s\n");
}

TEST(JobViewTest, AJobThatWaitsSaysForWhat) {
  v1::Job waits = SampleJob();
  waits.set_state(v1::JOB_STATE_QUEUED);
  waits.set_workers(0);
  waits.set_reason("WAITING_FOR_WORKERS");
  waits.set_message("waits for 2 workers, 1 is free");

  const std::string table = JobTable({waits, SampleJob()}, 61'000, false);

  EXPECT_THAT(table, HasSubstr("SAMPLES/S  AGE   MESSAGE\n"));
  EXPECT_THAT(table, HasSubstr("QUEUED   -        0/200 0 %  -     -         -          61 s  "
                               "waits for 2 workers, 1 is free\n"));
}

TEST(JobViewTest, ListsCheckpoints) {
  v1::CheckpointInfo checkpoint;
  checkpoint.set_id("a7-50");
  checkpoint.set_version(50);
  checkpoint.set_bytes(4 << 20);
  checkpoint.set_weights_digest("0123456789abcdef");
  checkpoint.set_path("/c/50");

  EXPECT_EQ(CheckpointTable({checkpoint}, 5'000, false),
            "ID     STEP  SIZE     WEIGHTS       AGE  PATH\n"
            "a7-50  50    4.0 MiB  0123456789ab  5 s  /c/50\n");
}

TEST(JobViewTest, DescribesAJobAndItsSpec) {
  const std::string page = JobPage(EndedJob(), 2'000'000, false);

  EXPECT_THAT(page, HasSubstr("digits-lamb  SUCCEEDED\n"));
  EXPECT_THAT(page, HasSubstr("  exactly once  51,200 of 51,200 leaf chunks, 12 duplicates"));
  EXPECT_THAT(page, HasSubstr("\nname: digits-lamb\nmodel:\n  mlp:\n    hidden: [256]\n"));
}

TEST(JobViewTest, DescribesTheScheduleOfEveryPhase) {
  v1::Job job = SampleJob();
  v1::JobSpec* const spec = job.mutable_spec();
  spec->clear_steps();
  spec->mutable_evaluation()->set_every_steps(5);
  v1::PhaseSpec* const first = spec->add_phases();
  first->set_steps(110);
  first->mutable_schedule()->set_peak(0.02);
  first->mutable_schedule()->set_warmup_steps(10);
  first->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_LINEAR);
  v1::PhaseSpec* const second = spec->add_phases();
  second->set_steps(1);
  second->set_batch(1000);
  v1::PhaseSpec* const third = spec->add_phases();
  third->set_steps(20);
  third->mutable_schedule()->set_peak(0.5);
  third->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_PLATEAU);

  EXPECT_THAT(
      JobPage(job, 2'000'000, false),
      HasSubstr(
          "\n"
          "PHASE  STEPS     BATCH   LEAVES  DECAY       FIRST       WARM        MIDDLE       LAST\n"
          "1      0..109    32,768  32      polynomial  0.002 @ 0   0.02 @ 9    0.0102 @ 59  "
          "0.0002 @ 109\n"
          "2      110..110  1,000   25      constant    0.02 @ 110  0.02 @ 110  0.02 @ 110   "
          "0.02 @ 110\n"
          "3      111..130  32,768  32      plateau     0.5 @ 111   0.5 @ 111   -            -\n"));
}

TEST(JobViewTest, JsonIsThatOfTheProto) {
  const nlohmann::json json = nlohmann::json::parse(ToJson(EndedJob()));
  EXPECT_EQ(json["id"], "00000000000000a7");
  EXPECT_EQ(json["state"], "JOB_STATE_SUCCEEDED");
  EXPECT_EQ(json["ledger"]["leafChunksApplied"], "51200");
}

TEST(SpecToYamlTest, ReadsBackToTheSameSpec) {
  v1::JobSpec spec = EndedJob().spec();
  (*spec.mutable_labels())["a"] = "no: \"yes\"\n\x01";
  (*spec.mutable_labels())["b"] = "";
  spec.mutable_deadline()->set_nanos(250'000'000);
  spec.set_seed(UINT64_MAX);
  spec.mutable_optimizer()->mutable_lamb()->set_eps(1e-6);
  spec.mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_POLYNOMIAL);
  const v1::JobSpec full = WithDefaults(spec, PlanJob(SampleJob().spec()).value());

  v1::JobSpec phases = full;
  phases.add_phases()->set_steps(7);
  phases.add_phases();
  *phases.add_phases()->mutable_schedule() = full.schedule();
  for (v1::JobSpec wanted : {spec, full, phases}) {
    const Result<JobFile> file = ParseJobFile("spec.yaml", SpecToYaml(wanted));

    ASSERT_TRUE(file.ok()) << file.status().message() << SpecToYaml(wanted);
    // No limit cannot be written and is the default.
    if (wanted.optimizer().lamb().has_phi_max()) {
      wanted.mutable_optimizer()->mutable_lamb()->clear_phi_max();
      wanted.mutable_optimizer()->mutable_lamb()->clear_ratio_max();
    }
    EXPECT_EQ(file.value().spec.DebugString(), wanted.DebugString());
  }
}

}  // namespace
}  // namespace drover
