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

void BeginPhaseIfDue(JobRecord* record) {
  const PhasePlan& phase = record->plan.PhaseAt(record->version);
  if (record->version == 0 || record->version != phase.first_step) return;
  record->schedule.phase_applied = record->applied;
  record->schedule.plateau = {};
  if (phase.restart_updates) record->schedule.updates_applied = record->applied;
}

void CountEvaluation(const EvalSummary& summary, JobRecord* record) {
  record->last_eval = summary;
  const Schedule& schedule = record->plan.PhaseAt(record->version).schedule;
  if (schedule.decay != Decay::kPlateau) return;
  record->schedule.plateau =
      AfterEvaluation(schedule.plateau, record->schedule.plateau, summary.version, summary.loss);
}

bool PlateauLacks(const JobRecord& record, int64_t version) {
  return record.plan.PhaseAt(version).schedule.decay == Decay::kPlateau &&
         record.schedule.plateau.version < version;
}

double LearningRateOf(const JobRecord& record) {
  return LearningRate(record.plan.PhaseAt(record.version).schedule,
                      {.step = record.applied - record.schedule.phase_applied,
                       .train_samples = record.train_samples,
                       .reductions = record.schedule.plateau.reductions});
}

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
