// Collects what is wrong with a JobSpec while it is read. Not thread-safe.

#ifndef DROVER_SERVER_SPEC_CHECKER_H_
#define DROVER_SERVER_SPEC_CHECKER_H_

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/spec.h"

namespace drover {

class SpecChecker {
 public:
  template <typename... Args>
  void Add(std::string_view field, fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back({std::string(field), fmt::format(format, std::forward<Args>(args)...)});
  }

  // Adds a violation unless min <= value <= max; says whether it is fine.
  bool InRange(std::string_view field, int64_t value, int64_t min, int64_t max) {
    if (value >= min && value <= max) return true;
    Add(field, "is {}, expected {} to {}", value, min, max);
    return false;
  }

  // Adds a violation unless `holds`; `expected` names the range.
  void Holds(std::string_view field, double value, bool holds, std::string_view expected) {
    if (!holds) Add(field, "is {}, expected {}", value, expected);
  }

  const std::vector<FieldViolation>& violations() const { return violations_; }

 private:
  std::vector<FieldViolation> violations_;
};

// The update rule with the defaults of its rule or preset, and back into a message with every field
// set.
OptimizerSettings ReadOptimizer(const v1::OptimizerSpec& spec, SpecChecker* checker);
v1::OptimizerSpec WriteOptimizer(const OptimizerSettings& settings, std::string_view preset);

// Which model, its settings, and whether it reads what the dataset gives.
void CheckModel(const v1::ModelSpec& model, const v1::DatasetSpec& dataset, SpecChecker* checker);
// A BERT's sizes, and whether they fit the dataset; and every field of it set.
void CheckBert(const v1::Bert& bert, const v1::DatasetSpec& dataset, SpecChecker* checker);
void WriteBert(v1::Bert* bert);

inline constexpr int64_t kPositionsMax = 4096;
inline constexpr int64_t kMultipleMax = 1024;  // That a vocabulary is rounded up to.

// Tokens of a sample of a text, with the default.
inline constexpr int64_t kSequenceLengthMin = 8;  // As worker/data/sentence_pairs.h.
inline constexpr int64_t kSequenceLengthMax = 4096;
inline constexpr int64_t kSequenceLengthDefault = 128;
inline int64_t SequenceLength(const v1::TextDataset& text) {
  return text.has_sequence_length() ? text.sequence_length() : kSequenceLengthDefault;
}

// A network of layers: each by itself and, if that is fine, whether they fit together, the dataset
// and the loss (CheckLayerShapes, for layers with their defaults). And every field of it set.
void CheckLayers(const v1::ModelSpec& model, const v1::DatasetSpec& dataset, SpecChecker* checker);
void CheckLayerShapes(const v1::ModelSpec& model, const v1::DatasetSpec& dataset,
                      SpecChecker* checker);
void WriteLayers(const v1::DatasetSpec& dataset, v1::ModelSpec* model);

// The phases of the job, one if it names none, and its steps; and every field of them set.
void ReadPhases(const v1::JobSpec& spec, JobPlan* plan, SpecChecker* checker);
void WritePhases(const JobPlan& plan, v1::JobSpec* spec);

// The schedule of a job or phase of `steps` steps of `batch` samples, both in range. `path` of the
// message, such as "schedule". And what the defaults are, back into the message.
Schedule ReadSchedule(const std::string& path, const v1::ScheduleSpec& spec, int64_t steps,
                      int64_t batch, SpecChecker* checker);
void WriteSchedule(const Schedule& schedule, v1::ScheduleSpec* spec);

}  // namespace drover

#endif  // DROVER_SERVER_SPEC_CHECKER_H_
