// The file format drover-optimizer-known-answers-1: short runs of update rules with the weights
// that others computed in float64 (docs/optimizers.md). Text to structs, nothing is run. Pure.

#ifndef DROVER_SERVER_CLI_OPTIMIZER_KNOWN_ANSWERS_H_
#define DROVER_SERVER_CLI_OPTIMIZER_KNOWN_ANSWERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/optim/settings.h"

namespace drover {

struct KnownTensor {
  std::string name;
  std::vector<double> initial;
  bool weight_decay = true;
  // Gradients either by update, or as factors: g = quadratic * w at the published weights.
  std::vector<std::vector<double>> gradients;  // [updates][elements].
  std::vector<double> quadratic;               // [elements], or empty.
};

// What stands after some update.
struct KnownAnswer {
  int64_t update;                            // From 1.
  std::vector<std::vector<double>> weights;  // [tensors][elements].
  std::vector<double> trust_ratios;          // [tensors], or empty when the file names none.
};

struct KnownCase {
  std::string name;
  std::string rule;  // As written in the file.
  OptimizerSettings settings;
  std::vector<double> learning_rates;  // [updates].
  std::vector<KnownTensor> tensors;
  std::vector<KnownAnswer> answers;
};

// All cases in the file's order. An unknown rule or setting, a wrong type, size or value is
// kInvalidArgument naming the case and the place.
Result<std::vector<KnownCase>> ParseKnownAnswers(const std::string& json_text);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_OPTIMIZER_KNOWN_ANSWERS_H_
