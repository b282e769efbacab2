#include "server/coordinator/job.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace drover
