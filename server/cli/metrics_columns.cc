#include "server/cli/metrics_columns.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "server/cli/format.h"
#include "server/cli/styled_line.h"

namespace drover {
namespace {

// What steps and evaluations have, skipped or not.
template <auto Getter>
MetricsValue OfAnyStep(const MetricsRow& row) {
  if (row.report == nullptr) return {};
  return (row.report->*Getter)();
}

template <auto Getter>
MetricsValue OfAppliedStep(const MetricsRow& row) {
  if (row.report == nullptr || row.report->skipped()) return {};
  return (row.report->*Getter)();
}

template <auto Has, auto Getter>
MetricsValue IfMeasured(const MetricsRow& row) {
  if (row.report == nullptr || !(row.report->*Has)()) return {};
  return (row.report->*Getter)();
}

// Of rules that have one.
template <auto Getter>
MetricsValue OfTrustRatio(const MetricsRow& row) {
  if (row.report == nullptr || row.report->trust_ratio_max() == 0) return {};
  return (row.report->*Getter)();
}

// 0 in jobs of older releases, or without text.
template <auto Getter>
MetricsValue UnlessZero(const MetricsRow& row) {
  if (row.report == nullptr || (row.report->*Getter)() == 0) return {};
  return (row.report->*Getter)();
}

template <auto Getter>
MetricsValue OfEvaluation(const MetricsRow& row) {
  if (row.evaluation == nullptr) return {};
  return (row.evaluation->*Getter)();
}

template <auto Getter>
MetricsValue OfMaskedEvaluation(const MetricsRow& row) {
  if (row.evaluation == nullptr || row.evaluation->masked_tokens() == 0) return {};
  return (row.evaluation->*Getter)();
}

MetricsValue StepOf(const MetricsRow& row) { return row.step; }

MetricsValue SkipReasonOf(const MetricsRow& row) {
  if (row.report == nullptr || !row.report->skipped()) return {};
  return row.report->skip_reason();
}

std::string CsvField(const MetricsValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const int64_t* number = std::get_if<int64_t>(&value)) return fmt::format("{}", *number);
  if (const double* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  const std::string* text = std::get_if<std::string>(&value);
  if (text == nullptr) return "";
  if (text->find_first_of(",\"\r\n") == text->npos) return *text;
  std::string quoted = "\"";
  for (const char c : *text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void PutJson(const MetricsColumn& column, const MetricsRow& row, nlohmann::ordered_json* object) {
  const MetricsValue value = column.value(row);
  if (const bool* flag = std::get_if<bool>(&value)) (*object)[column.name] = *flag;
  if (const int64_t* number = std::get_if<int64_t>(&value)) (*object)[column.name] = *number;
  if (const std::string* text = std::get_if<std::string>(&value)) (*object)[column.name] = *text;
  const double* number = std::get_if<double>(&value);
  if (number != nullptr && std::isfinite(*number)) (*object)[column.name] = *number;
}

}  // namespace

std::vector<MetricsRow> RowsOf(const v1::GetMetricsResponse& metrics) {
  std::vector<MetricsRow> rows;
  int next = 0;
  // Those of versions up to `step`, which no step of the answer is right before.
  const auto add_evaluations = [&](int64_t step) {
    for (; next < metrics.evaluations_size() && metrics.evaluations(next).version() <= step;
         ++next) {
      rows.push_back(
          {metrics.evaluations(next).version() - 1, nullptr, &metrics.evaluations(next)});
    }
  };
  for (const v1::StepReport& report : metrics.steps()) {
    add_evaluations(report.step());
    rows.push_back({report.step(), &report, nullptr});
    if (next < metrics.evaluations_size() &&
        metrics.evaluations(next).version() == report.step() + 1) {
      rows.back().evaluation = &metrics.evaluations(next++);
    }
  }
  if (next < metrics.evaluations_size()) {
    add_evaluations(metrics.evaluations(metrics.evaluations_size() - 1).version());
  }
  return rows;
}

const std::vector<MetricsColumn>& MetricsColumns() {
  using Step = v1::StepReport;
  using Eval = v1::EvalReport;
  static const std::vector<MetricsColumn> columns = {
      {"step", "", StepOf},
      {"time_unix_ms", "", UnlessZero<&Step::time_unix_ms>},
      {"applied", "", OfAnyStep<&Step::applied>},
      {"skipped", "", OfAnyStep<&Step::skipped>},
      {"skip_reason", "", SkipReasonOf},
      {"loss", "train/loss", OfAppliedStep<&Step::loss>},
      {"accuracy", "train/accuracy", OfAppliedStep<&Step::accuracy>},
      {"samples", "train/samples", OfAppliedStep<&Step::samples>},
      {"tokens", "train/tokens", UnlessZero<&Step::tokens>},
      {"learning_rate", "train/learning_rate", OfAnyStep<&Step::learning_rate>},
      {"gradient_norm", "train/gradient_norm", OfAppliedStep<&Step::gradient_norm>},
      {"clip_factor", "train/clip_factor", OfAppliedStep<&Step::clip_factor>},
      {"weight_norm", "train/weight_norm", IfMeasured<&Step::has_weight_norm, &Step::weight_norm>},
      {"update_norm", "train/update_norm", IfMeasured<&Step::has_update_norm, &Step::update_norm>},
      {"trust_ratio_min", "train/trust_ratio_min", OfTrustRatio<&Step::trust_ratio_min>},
      {"trust_ratio_median", "train/trust_ratio_median", OfTrustRatio<&Step::trust_ratio_median>},
      {"trust_ratio_max", "train/trust_ratio_max", OfTrustRatio<&Step::trust_ratio_max>},
      {"gradient_noise_scale", "train/gradient_noise_scale",
       IfMeasured<&Step::has_gradient_noise_scale, &Step::gradient_noise_scale>},
      {"seconds", "train/seconds", OfAnyStep<&Step::seconds>},
      {"samples_per_second", "train/samples_per_second", OfAppliedStep<&Step::samples_per_second>},
      {"eval_loss", "eval/loss", OfEvaluation<&Eval::loss>},
      {"eval_accuracy", "eval/accuracy", OfEvaluation<&Eval::accuracy>},
      {"eval_samples", "", OfEvaluation<&Eval::samples>},
      {"eval_masked_loss", "eval/masked_loss", OfMaskedEvaluation<&Eval::masked_loss>},
      {"eval_masked_accuracy", "eval/masked_accuracy", OfMaskedEvaluation<&Eval::masked_accuracy>},
      {"eval_masked_tokens", "", OfMaskedEvaluation<&Eval::masked_tokens>},
  };
  return columns;
}

std::string CsvHead() {
  std::string line;
  for (const MetricsColumn& column : MetricsColumns()) {
    line += (line.empty() ? "" : ",") + std::string(column.name);
  }
  return line + "\n";
}

std::string CsvOf(const std::vector<MetricsRow>& rows) {
  std::string text;
  for (const MetricsRow& row : rows) {
    const char* separator = "";
    for (const MetricsColumn& column : MetricsColumns()) {
      text += separator + CsvField(column.value(row));
      separator = ",";
    }
    text += "\n";
  }
  return text;
}

std::string JsonLinesOf(const std::vector<MetricsRow>& rows) {
  std::string text;
  for (const MetricsRow& row : rows) {
    nlohmann::ordered_json object;
    for (const MetricsColumn& column : MetricsColumns()) PutJson(column, row, &object);
    // Names of tensors come from other processes.
    text += object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  return text;
}

std::string MetricsTable(const std::vector<MetricsRow>& rows, bool color) {
  std::vector<std::vector<std::string>> cells = {
      {"STEP", "LOSS", "ACCURACY", "RATE", "GRADIENT", "SAMPLES/S", "EVAL-LOSS", "EVAL-ACCURACY"}};
  for (const MetricsRow& row : rows) {
    std::vector<std::string> line = {fmt::format("{}", row.step)};
    if (row.report == nullptr) {
      line.insert(line.end(), 5, "");
    } else if (row.report->skipped()) {
      line.insert(line.end(), {"skipped", "", "", "", ""});
    } else {
      line.push_back(fmt::format("{:.4g}", row.report->loss()));
      line.push_back(FormatFraction(row.report->accuracy()));
      line.push_back(fmt::format("{:.3g}", row.report->learning_rate()));
      line.push_back(fmt::format("{:.3g}", row.report->gradient_norm()));
      line.push_back(FormatCompact(row.report->samples_per_second()));
    }
    const bool evaluated = row.evaluation != nullptr;
    line.push_back(evaluated ? fmt::format("{:.4g}", row.evaluation->loss()) : "");
    line.push_back(evaluated ? FormatFraction(row.evaluation->accuracy()) : "");
    cells.push_back(std::move(line));
  }
  return FormatTable(cells, color);
}

}  // namespace drover
