#include "server/spec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "common/base/quote.h"
#include "common/tensor/fixed_point.h"
#include "server/spec_checker.h"

namespace drover {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr int64_t kPriorityMax = 1'000'000;
constexpr int64_t kWorkersMax = 1024;
constexpr int64_t kKeepMax = 10'000;
constexpr int64_t kSkipsMax = 1'000'000;
constexpr int kLabelsMax = 64;
constexpr size_t kLabelBytesMax = 255;
constexpr size_t kPathBytesMax = 4096;

bool IsWord(std::string_view text, std::string_view extra, size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max &&
         std::all_of(text.begin(), text.end(), [extra](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  extra.find(c) != std::string_view::npos;
         });
}

bool HasControlBytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0 && c < ' ') || c == 127; });
}

// Fields and enum values that a newer client knows and this build would silently ignore.
void CheckKnown(const std::string& path, const Message& message, SpecChecker* checker) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const google::protobuf::UnknownFieldSet& unknown = reflection.GetUnknownFields(message);
  if (!unknown.empty()) {
    checker->Add(path.empty() ? message.GetDescriptor()->name() : path,
                 "has field number {}, which this version does not know",
                 unknown.field(0).number());
  }
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string field_path = path.empty() ? field->name() : path + "." + field->name();
    if (field->is_repeated()) {
      if (field->is_map() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        CheckKnown(fmt::format("{}[{}]", field_path, i),
                   reflection.GetRepeatedMessage(message, field, i), checker);
      }
      continue;
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CheckKnown(field_path, reflection.GetMessage(message, field), checker);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int value = reflection.GetEnumValue(message, field);
      if (field->enum_type()->FindValueByNumber(value) == nullptr) {
        checker->Add(field_path, "is number {}, which this version does not know", value);
      }
    }
  }
}

void CheckFolder(std::string_view field, const std::string& path, std::string_view holds,
                 SpecChecker* checker) {
  if (path.empty()) {
    checker->Add(field, "is missing: the folder with {}", holds);
  } else if (path.size() > kPathBytesMax || HasControlBytes(path)) {
    checker->Add(field, "is {}, expected the path of a folder", Quote(path));
  }
}

// Of dataset.idx.mean and std: inputs stay of a size that float32 networks train on.
constexpr double kPixelScaleMax = 1000.0;

void CheckDataset(const v1::DatasetSpec& dataset, SpecChecker* checker) {
  switch (dataset.source_case()) {
    case v1::DatasetSpec::kIdx:
      CheckFolder("dataset.idx.path", dataset.idx().path(), "the four IDX files, named as MNIST's",
                  checker);
      checker->Holds("dataset.idx.mean", dataset.idx().mean(),
                     std::abs(dataset.idx().mean()) <= kPixelScaleMax, "-1000 to 1000");
      if (dataset.idx().has_std()) {
        checker->Holds(
            "dataset.idx.std", dataset.idx().std(),
            dataset.idx().std() >= 1.0 / kPixelScaleMax && dataset.idx().std() <= kPixelScaleMax,
            "0.001 to 1000");
      }
      break;
    case v1::DatasetSpec::kSyntheticDigits:
      break;
    case v1::DatasetSpec::kText:
      CheckFolder("dataset.text.path", dataset.text().path(),
                  "train.tokens and test.tokens; make it with drover data tokenize", checker);
      if (dataset.text().has_sequence_length()) {
        checker->InRange("dataset.text.sequence_length", dataset.text().sequence_length(),
                         kSequenceLengthMin, kSequenceLengthMax);
      }
      break;
    case v1::DatasetSpec::SOURCE_NOT_SET:
      checker->Add("dataset", "is missing, expected one of idx, synthetic_digits, text");
      break;
  }
}

// The resolution of the fixed-point sums is one for the whole job: that of the largest batch.
void ReadFractionBits(const v1::JobSpec& spec, JobPlan* plan, SpecChecker* checker) {
  int64_t batch = 1;
  for (const PhasePlan& phase : plan->phases) batch = std::max(batch, phase.batch);
  plan->fraction_bits = DefaultFractionBits(batch);
  if (!spec.numerics().has_fraction_bits()) return;
  const int64_t bits = spec.numerics().fraction_bits();
  // More bits would leave less than 2^14 of room per sample: see fixed_point.h.
  if (bits < kFractionBitsMin || bits > plan->fraction_bits) {
    checker->Add("numerics.fraction_bits", "is {}, expected {} to {} for batch {}", bits,
                 kFractionBitsMin, plan->fraction_bits, batch);
    return;
  }
  plan->fraction_bits = static_cast<int>(bits);
}

int64_t ReadTime(std::string_view field, const google::protobuf::Duration& time,
                 SpecChecker* checker) {
  if (time.seconds() < 0 || time.seconds() > kDeadlineSecondsMax || time.nanos() < 0 ||
      time.nanos() > 999'999'999 || (time.seconds() == 0 && time.nanos() < 1'000'000)) {
    checker->Add(field, "is {}s, expected 1ms to {}s", time.seconds(), kDeadlineSecondsMax);
    return 0;
  }
  return time.seconds() * 1000 + time.nanos() / 1'000'000;
}

void ReadWorkers(const v1::JobSpec& spec, JobPlan* plan, SpecChecker* checker) {
  const int64_t min = spec.has_min_workers() ? spec.min_workers() : plan->min_workers;
  const int64_t max = spec.has_max_workers() ? spec.max_workers() : kWorkersMax;
  bool fits = checker->InRange("min_workers", min, 1, kWorkersMax);
  fits = checker->InRange("max_workers", max, 1, kWorkersMax) && fits;
  if (fits && min > max) checker->Add("min_workers", "is {}, but max_workers is {}", min, max);
  if (!fits) return;
  plan->min_workers = static_cast<uint32_t>(min);
  if (spec.has_max_workers()) plan->max_workers = static_cast<uint32_t>(max);
}

void ReadPolicies(const v1::JobSpec& spec, JobPlan* plan, SpecChecker* checker) {
  plan->bf16 = spec.precision() == v1::JobSpec::PRECISION_BF16;
  if (spec.precision() == v1::JobSpec::PRECISION_TF32 && spec.device() == v1::JobSpec::DEVICE_CPU) {
    checker->Add("precision",
                 "is tf32, which only GPUs have, expected f32 or bf16 for device: cpu");
  }
  plan->mixed = spec.numerics().mixed();
  plan->fail_on_nonfinite = spec.on_nonfinite() == v1::JobSpec::ON_NONFINITE_FAIL;
  if (spec.has_max_consecutive_skips()) plan->max_consecutive_skips = spec.max_consecutive_skips();
  checker->InRange("max_consecutive_skips", plan->max_consecutive_skips, 1, kSkipsMax);
  plan->checkpoint_every_steps = spec.checkpoint().every_steps();
  checker->InRange("checkpoint.every_steps", plan->checkpoint_every_steps, 0, kStepsMax);
  if (spec.checkpoint().has_keep()) plan->checkpoint_keep = spec.checkpoint().keep();
  checker->InRange("checkpoint.keep", plan->checkpoint_keep, 2, kKeepMax);
  plan->evaluation_every_steps = spec.evaluation().every_steps();
  checker->InRange("evaluation.every_steps", plan->evaluation_every_steps, 0, kStepsMax);
  plan->priority = spec.priority();
  checker->InRange("priority", plan->priority, -kPriorityMax, kPriorityMax);
  if (spec.has_target()) {
    const double at_least = spec.target().at_least();
    if (spec.target().metric() == v1::TargetSpec::METRIC_UNSPECIFIED) {
      checker->Add("target.metric", "is missing, expected accuracy");
    }
    checker->Holds("target.at_least", at_least, at_least > 0.0 && at_least <= 1.0,
                   "a share of the samples, 0 < at_least <= 1");
    plan->target_accuracy = at_least;
  }
  if (spec.has_deadline()) plan->deadline_ms = ReadTime("deadline", spec.deadline(), checker);
  if (spec.has_ttl_after_end()) {
    plan->ttl_after_end_ms = ReadTime("ttl_after_end", spec.ttl_after_end(), checker);
  }
  ReadWorkers(spec, plan, checker);
}

void ReadLabels(const v1::JobSpec& spec, JobPlan* plan, SpecChecker* checker) {
  if (spec.labels_size() > kLabelsMax) {
    checker->Add("labels", "has {} entries, expected at most {}", spec.labels_size(), kLabelsMax);
    return;
  }
  plan->labels = {spec.labels().begin(), spec.labels().end()};
  for (const auto& [key, value] : plan->labels) {
    if (!IsWord(key, "_./-", 63)) {
      checker->Add("labels", "has the key {}, expected [A-Za-z0-9_./-]{{1,63}}", Quote(key));
    } else if (value.size() > kLabelBytesMax || HasControlBytes(value)) {
      checker->Add("labels." + key, "is {}, expected at most {} printable bytes", Quote(value),
                   kLabelBytesMax);
    }
  }
}

JobPlan ReadSpec(const v1::JobSpec& spec, SpecChecker* checker) {
  JobPlan plan;
  CheckKnown("", spec, checker);
  plan.name = spec.name();
  if (plan.name.empty()) {
    checker->Add("name", "is missing, expected [A-Za-z0-9_-]{{1,63}}");
  } else if (!IsWord(plan.name, "_-", 63)) {
    checker->Add("name", "is {}, expected [A-Za-z0-9_-]{{1,63}}", Quote(plan.name));
  }
  CheckModel(spec.model(), spec.dataset(), checker);
  CheckDataset(spec.dataset(), checker);
  ReadPhases(spec, &plan, checker);
  ReadFractionBits(spec, &plan, checker);
  if (spec.has_seed()) plan.seed = spec.seed();
  plan.optimizer = ReadOptimizer(spec.optimizer(), checker);
  const v1::OptimizerSpec& rule = spec.optimizer();
  if (rule.has_adabound() && !rule.adabound().has_base_learning_rate() &&
      checker->violations().empty()) {
    plan.optimizer.base_learning_rate =
        std::max(kAdaBoundMin, HighestRate(plan.phases.front().schedule));
  }
  ReadPolicies(spec, &plan, checker);
  const bool plateau =
      std::any_of(plan.phases.begin(), plan.phases.end(),
                  [](const PhasePlan& phase) { return phase.schedule.decay == Decay::kPlateau; });
  if (plateau && plan.evaluation_every_steps == 0) {
    checker->Add("evaluation.every_steps",
                 "is missing: schedule.decay is plateau, which looks at evaluations");
  }
  ReadLabels(spec, &plan, checker);
  return plan;
}

Status ToStatus(const std::vector<FieldViolation>& violations) {
  if (violations.empty()) return Status();
  std::string message;
  for (const FieldViolation& violation : violations) {
    if (!message.empty()) message += '\n';
    message += violation.field + ": " + violation.what;
  }
  return Status(Code::kInvalidArgument, message);
}

}  // namespace

Status CheckJobSpec(const v1::JobSpec& spec, std::vector<FieldViolation>* violations) {
  SpecChecker checker;
  ReadSpec(spec, &checker);
  if (violations != nullptr) {
    violations->insert(violations->end(), checker.violations().begin(), checker.violations().end());
  }
  return ToStatus(checker.violations());
}

Result<JobPlan> PlanJob(const v1::JobSpec& spec) {
  SpecChecker checker;
  JobPlan plan = ReadSpec(spec, &checker);
  if (!checker.violations().empty()) return ToStatus(checker.violations());
  return plan;
}

v1::JobSpec WithDefaults(const v1::JobSpec& spec, const JobPlan& plan) {
  v1::JobSpec full = spec;
  WritePhases(plan, &full);
  full.set_seed(plan.seed);
  *full.mutable_optimizer() = WriteOptimizer(plan.optimizer, spec.optimizer().lamb().preset());
  if (full.precision() == v1::JobSpec::PRECISION_UNSPECIFIED) {
    full.set_precision(v1::JobSpec::PRECISION_F32);
  }
  if (full.device() == v1::JobSpec::DEVICE_UNSPECIFIED) full.set_device(v1::JobSpec::DEVICE_AUTO);
  full.mutable_numerics()->set_wire(v1::NumericsSpec::WIRE_EXACT);
  full.mutable_numerics()->set_fraction_bits(plan.fraction_bits);
  full.set_on_nonfinite(plan.fail_on_nonfinite ? v1::JobSpec::ON_NONFINITE_FAIL
                                               : v1::JobSpec::ON_NONFINITE_SKIP);
  full.set_max_consecutive_skips(plan.max_consecutive_skips);
  full.mutable_checkpoint()->set_every_steps(plan.checkpoint_every_steps);
  full.mutable_checkpoint()->set_keep(plan.checkpoint_keep);
  full.mutable_evaluation()->set_every_steps(plan.evaluation_every_steps);
  if (full.model().has_bert()) WriteBert(full.mutable_model()->mutable_bert());
  if (full.model().layers_size() > 0) WriteLayers(full.dataset(), full.mutable_model());
  v1::DatasetSpec* const dataset = full.mutable_dataset();
  if (dataset->has_synthetic_digits() && !dataset->synthetic_digits().has_seed()) {
    dataset->mutable_synthetic_digits()->set_seed(1);
  }
  if (dataset->has_text() && !dataset->text().has_sequence_length()) {
    dataset->mutable_text()->set_sequence_length(kSequenceLengthDefault);
  }
  if (dataset->has_idx()) {
    dataset->mutable_idx()->set_mean(dataset->idx().mean());
    if (!dataset->idx().has_std()) dataset->mutable_idx()->set_std(1.0);
  }
  return full;
}

}  // namespace drover
