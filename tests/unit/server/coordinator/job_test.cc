#include "server/coordinator/job.h"

#include <gtest/gtest.h>

#include <map>

#include "server/coordinator/job_queue.h"

namespace drover {
namespace {

TEST(JobTest, CancellingTwiceIsFineAndAnEndedJobCannotBeSuspended) {
  EXPECT_TRUE(CheckVerb(JobState::kRunning, JobVerb::kCancel).ok());
  EXPECT_TRUE(CheckVerb(JobState::kCancelled, JobVerb::kCancel).ok());
  EXPECT_EQ(CheckVerb(JobState::kSucceeded, JobVerb::kCancel).code(), Code::kFailedPrecondition);
  EXPECT_EQ(CheckVerb(JobState::kFailed, JobVerb::kSuspend).code(), Code::kFailedPrecondition);
}

TEST(JobTest, RefusalNamesVerbAndState) {
  EXPECT_EQ(CheckVerb(JobState::kRunning, JobVerb::kResume).message(),
            "cannot resume a job that is RUNNING");
}

JobRecord Queued(uint64_t id, int64_t order, int64_t priority) {
  JobRecord job;
  job.id = id;
  job.order = order;
  job.plan.priority = priority;
  return job;
}

TEST(JobQueueTest, HighestPriorityFirstThenTheOneCreatedFirst) {
  std::map<uint64_t, JobRecord> jobs = {
      {10, Queued(10, 3, 0)}, {20, Queued(20, 1, 0)}, {30, Queued(30, 2, 5)}};

  EXPECT_EQ(NextJob(jobs), 30u);
  jobs[30].state = JobState::kSuspended;
  EXPECT_EQ(NextJob(jobs), 20u);
  jobs[20].state = JobState::kRunning;
  EXPECT_EQ(NextJob(jobs), 10u);
  jobs[10].state = JobState::kFailed;
  EXPECT_FALSE(NextJob(jobs));
}

}  // namespace
}  // namespace drover
