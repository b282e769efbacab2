#include <fmt/format.h>

#include <algorithm>

#include "common/tensor/leaf_set.h"
#include "server/spec_checker.h"

namespace drover {
namespace {

constexpr int64_t kLeavesDefault = 32;
constexpr int64_t kMicroBatchDefault = 256;

int64_t LargestDivisor(int64_t number, int64_t at_most) {
  for (int64_t divisor = std::min(number, at_most); divisor > 1; --divisor) {
    if (number % divisor == 0) return divisor;
  }
  return 1;
}

// Leaves and micro-batch that the user left open: divisors of the batch, so that any batch works.
void ChooseLeaves(const std::string& path, const v1::PhaseSpec& spec, PhasePlan* phase,
                  SpecChecker* checker) {
  if (!spec.has_leaves()) {
    const int64_t unit = spec.has_micro_batch() ? phase->micro_batch : 1;
    phase->leaves = LargestDivisor(std::max<int64_t>(phase->batch / unit, 1), kLeavesDefault);
  }
  if (phase->batch % phase->leaves != 0) {
    checker->Add(path + "batch", "is {}, not a multiple of leaves ({})", phase->batch,
                 phase->leaves);
    return;
  }
  const int64_t leaf = phase->leaf_samples();
  if (!spec.has_micro_batch()) phase->micro_batch = LargestDivisor(leaf, kMicroBatchDefault);
  if (leaf % phase->micro_batch == 0) return;
  checker->Add(path + "micro_batch",
               "is {}, and a leaf of {} samples is not a multiple of it; {} fits",
               phase->micro_batch, leaf, LargestDivisor(leaf, phase->micro_batch));
}

// batch, leaves, micro_batch.
void ReadBatch(const std::string& path, const v1::PhaseSpec& spec, PhasePlan* phase,
               SpecChecker* checker) {
  phase->leaves = spec.has_leaves() ? spec.leaves() : kLeavesDefault;
  phase->batch = spec.batch();
  phase->micro_batch = spec.has_micro_batch() ? spec.micro_batch() : kMicroBatchDefault;
  const bool leaves_fit = checker->InRange(path + "leaves", phase->leaves, 1, kLeavesMax);
  const bool micro_fits =
      checker->InRange(path + "micro_batch", phase->micro_batch, 1, kMicroBatchMax);
  if (spec.batch() == 0) checker->Add(path + "batch", "is missing: samples per step, such as 32Ki");
  if (spec.batch() == 0 || !checker->InRange(path + "batch", phase->batch, 1, kBatchMax)) {
    phase->batch = phase->leaves = phase->micro_batch = 1;
    return;
  }
  if (leaves_fit && micro_fits) ChooseLeaves(path, spec, phase, checker);
}

// `path` is empty, or "phases[0]." and so on.
PhasePlan ReadPhase(const std::string& path, const v1::PhaseSpec& spec, SpecChecker* checker) {
  PhasePlan phase;
  ReadBatch(path, spec, &phase, checker);
  phase.steps = spec.steps();
  if (spec.steps() == 0) {
    checker->Add(path + "steps", "is missing: the number of optimizer updates");
  }
  if (spec.steps() == 0 || !checker->InRange(path + "steps", spec.steps(), 1, kStepsMax)) {
    phase.steps = kStepsMax;  // So that the schedule is not blamed too.
  }
  phase.schedule =
      ReadSchedule(path + "schedule", spec.schedule(), phase.steps, phase.batch, checker);
  phase.restart_updates = spec.restart_updates();
  return phase;
}

// What the job says for all phases; a job without phases is one phase.
v1::PhaseSpec WholeJob(const v1::JobSpec& spec) {
  v1::PhaseSpec whole;
  whole.set_steps(spec.steps());
  whole.set_batch(spec.batch());
  if (spec.has_leaves()) whole.set_leaves(spec.leaves());
  if (spec.has_micro_batch()) whole.set_micro_batch(spec.micro_batch());
  *whole.mutable_schedule() = spec.schedule();
  return whole;
}

v1::PhaseSpec WithFieldsOfJob(const v1::PhaseSpec& phase, const v1::PhaseSpec& whole) {
  v1::PhaseSpec full = phase;
  // The job's leaves belong to the job's batch.
  if (full.batch() == 0) {
    full.set_batch(whole.batch());
    if (!full.has_leaves() && whole.has_leaves()) full.set_leaves(whole.leaves());
  }
  if (!full.has_micro_batch() && whole.has_micro_batch()) {
    full.set_micro_batch(whole.micro_batch());
  }
  if (!full.has_schedule()) *full.mutable_schedule() = whole.schedule();
  return full;
}

// Of samples that a phase trains on, when it has its own.
void CheckSequenceLength(const std::string& field, const v1::JobSpec& spec, int phase,
                         SpecChecker* checker) {
  if (!spec.phases(phase).has_sequence_length()) return;
  const int64_t length = spec.phases(phase).sequence_length();
  if (!spec.dataset().has_text()) {
    checker->Add(field, "is {}, and the dataset is not text; expected no such field", length);
    return;
  }
  v1::Bert bert = spec.model().bert();
  WriteBert(&bert);
  const int64_t most =
      spec.model().has_bert() ? std::min(bert.positions(), kSequenceLengthMax) : kSequenceLengthMax;
  checker->InRange(field, length, kSequenceLengthMin, most);
}

}  // namespace

void ReadPhases(const v1::JobSpec& spec, JobPlan* plan, SpecChecker* checker) {
  const v1::PhaseSpec whole = WholeJob(spec);
  if (spec.phases_size() == 0) {
    plan->phases.push_back(ReadPhase("", whole, checker));
    plan->steps = plan->phases.front().steps;
    return;
  }
  if (spec.phases_size() > kPhasesMax) {
    checker->Add("phases", "has {} entries, expected at most {}", spec.phases_size(), kPhasesMax);
  }
  for (int i = 0; i < std::min(spec.phases_size(), kPhasesMax); ++i) {
    plan->phases.push_back(
        ReadPhase(fmt::format("phases[{}].", i), WithFieldsOfJob(spec.phases(i), whole), checker));
    CheckSequenceLength(fmt::format("phases[{}].sequence_length", i), spec, i, checker);
    plan->phases.back().first_step = plan->steps;
    plan->steps += plan->phases.back().steps;
  }
  if (spec.steps() != 0 && spec.steps() != plan->steps) {
    checker->Add("steps", "is {}, expected the sum of the phases ({}), or nothing", spec.steps(),
                 plan->steps);
  }
}

void WritePhases(const JobPlan& plan, v1::JobSpec* spec) {
  if (spec->phases_size() == 0) {
    const PhasePlan& only = plan.phases.front();
    spec->set_leaves(only.leaves);
    spec->set_micro_batch(only.micro_batch);
    WriteSchedule(only.schedule, spec->mutable_schedule());
    return;
  }
  const v1::PhaseSpec whole = WholeJob(*spec);
  for (int i = 0; i < spec->phases_size(); ++i) {
    const PhasePlan& phase = plan.phases[static_cast<size_t>(i)];
    v1::PhaseSpec* const full = spec->mutable_phases(i);
    *full = WithFieldsOfJob(*full, whole);
    full->set_leaves(phase.leaves);
    full->set_micro_batch(phase.micro_batch);
    WriteSchedule(phase.schedule, full->mutable_schedule());
  }
  spec->set_steps(plan.steps);
  spec->clear_batch();
  spec->clear_leaves();
  spec->clear_micro_batch();
  spec->clear_schedule();
}

}  // namespace drover
