// The history of a job as rows of named columns: what `drover get metrics` prints. The names and
// their order are stable: docs/formats.md. Pure.

#ifndef DROVER_SERVER_CLI_METRICS_COLUMNS_H_
#define DROVER_SERVER_CLI_METRICS_COLUMNS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "proto/drover/v1/job.pb.h"

namespace drover {

// One step, with the evaluation that was made after it. Either may be missing: thinning keeps
// others of them.
struct MetricsRow {
  int64_t step = 0;
  const v1::StepReport* report = nullptr;
  const v1::EvalReport* evaluation = nullptr;
};

// By step, ascending. The messages are borrowed from `metrics`.
std::vector<MetricsRow> RowsOf(const v1::GetMetricsResponse& metrics);

// Empty: not measured, or nothing to measure (the loss of a skipped step).
using MetricsValue = std::variant<std::monostate, bool, int64_t, double, std::string>;

struct MetricsColumn {
  const char* name;
  const char* tag;  // In TensorBoard; empty: not shown there.
  MetricsValue (*value)(const MetricsRow& row);
};
const std::vector<MetricsColumn>& MetricsColumns();

// A line of names, then one per row; RFC 4180 with "\n". Numbers read back to the same bits.
std::string CsvHead();
std::string CsvOf(const std::vector<MetricsRow>& rows);

// One JSON object per row and line; empty values and numbers that are not finite are left out.
std::string JsonLinesOf(const std::vector<MetricsRow>& rows);

// STEP LOSS ACCURACY RATE GRADIENT SAMPLES/S EVAL-LOSS EVAL-ACCURACY, for people.
std::string MetricsTable(const std::vector<MetricsRow>& rows, bool color);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_METRICS_COLUMNS_H_
