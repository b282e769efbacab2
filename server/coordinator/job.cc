#include "server/coordinator/job.h"

#include <fmt/format.h>

namespace drover {
namespace {

const char* VerbName(JobVerb verb) {
  switch (verb) {
    case JobVerb::kCancel:
      return "cancel";
    case JobVerb::kSuspend:
      return "suspend";
    case JobVerb::kResume:
      return "resume";
  }
  return "unknown";
}

bool Fits(JobState state, JobVerb verb) {
  switch (verb) {
    case JobVerb::kCancel:
      return !HasEnded(state) || state == JobState::kCancelled;
    case JobVerb::kSuspend:
      return state == JobState::kQueued || state == JobState::kStarting ||
             state == JobState::kRunning || state == JobState::kRecovering ||
             state == JobState::kSuspending || state == JobState::kSuspended;
    case JobVerb::kResume:
      return state == JobState::kSuspended || state == JobState::kQueued;
  }
  return false;
}

}  // namespace

const char* JobStateName(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "QUEUED";
    case JobState::kStarting:
      return "STARTING";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kRecovering:
      return "RECOVERING";
    case JobState::kSuspending:
      return "SUSPENDING";
    case JobState::kSuspended:
      return "SUSPENDED";
    case JobState::kCancelling:
      return "CANCELLING";
    case JobState::kCancelled:
      return "CANCELLED";
    case JobState::kSucceeded:
      return "SUCCEEDED";
    case JobState::kFailed:
      return "FAILED";
  }
  return "UNKNOWN";
}

bool HasEnded(JobState state) {
  return state == JobState::kCancelled || state == JobState::kSucceeded ||
         state == JobState::kFailed;
}

Status CheckVerb(JobState state, JobVerb verb) {
  if (Fits(state, verb)) return Status();
  return Status(Code::kFailedPrecondition,
                fmt::format("cannot {} a job that is {}", VerbName(verb), JobStateName(state)));
}

}  // namespace drover
