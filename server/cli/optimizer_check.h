// The core of `drover check optimizers`: runs known answers through the scalars, ratios and passes
// that shards use, on each instruction set of this CPU, and the same formulas in float64. Reads no
// file and prints nothing. Any thread.

#ifndef DROVER_SERVER_CLI_OPTIMIZER_CHECK_H_
#define DROVER_SERVER_CLI_OPTIMIZER_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

struct CheckOptions {
  std::string rule;  // Only cases of this rule; empty for all.
};

struct CheckFailure {
  std::string arithmetic;  // "float64", or the instruction set of the float32 passes.
  std::string tensor;
  int64_t element;  // -1: the tensor's trust ratio.
  int64_t update;   // From 1.
  double got;
  double want;
  double tolerance;  // 0 where bits must be equal to those of the first instruction set.
};

struct CheckedCase {
  std::string name;
  std::string rule;
  int64_t values_compared = 0;
  int64_t failure_count = 0;
  std::vector<CheckFailure> failures;  // The first few of failure_count.
};

struct CheckReport {
  std::vector<CheckedCase> cases;

  int64_t passed() const;
  int64_t failed() const;
  // Nothing failed and something passed. The command's exit code is 0 if so, else 1.
  bool ok() const;
};

// `json_text` in the format drover-optimizer-known-answers-1. kInvalidArgument when it cannot be
// read or names an unknown rule or setting, kNotFound when options.rule is in no case.
Result<CheckReport> CheckOptimizers(const std::string& json_text, const CheckOptions& options = {});

// One line per case, one per failure shown, and a last line with the counts.
std::string FormatReport(const CheckReport& report);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_OPTIMIZER_CHECK_H_
