#include "server/cli/tool_commands.h"

#include <fmt/format.h>

#include "common/base/file_system.h"
#include "server/cli/exit_code.h"
#include "server/cli/file_text.h"
#include "server/cli/optimizer_bench.h"
#include "server/cli/optimizer_check.h"
#include "server/cli/wire_bench.h"

namespace drover {
namespace {

constexpr uint64_t kAnswersBytesMax = uint64_t{256} << 20;

// Known before minutes of measuring are lost. The empty path is no file.
bool CanWriteJson(const std::string& path) {
  if (path.empty()) return true;
  const Status writable = CheckWritable(path).Annotate("--json");
  if (!writable.ok()) ReportError(writable);
  return writable.ok();
}

}  // namespace

int CheckOptimizersCommand(const std::string& answers_path, const std::string& rule) {
  const Result<std::string> text = FileSystem::Real().ReadUserFile(answers_path, kAnswersBytesMax);
  if (!text.ok()) {
    ReportError(text.status());
    return kExitUsage;
  }
  const Result<CheckReport> report = CheckOptimizers(text.value(), CheckOptions{rule});
  if (!report.ok()) {
    ReportError(report.status().Annotate(answers_path));
    return kExitUsage;
  }
  fmt::print("{}", FormatReport(report.value()));
  return report.value().ok() ? kExitOk : kExitFailed;
}

int BenchOptimizerCommand(const std::string& json_path) {
  if (!CanWriteJson(json_path)) return kExitUsage;
  const OptimizerBenchOptions options;
  const Result<std::vector<OptimizerBenchRow>> rows = BenchOptimizers(options);
  Status status = rows.status();
  if (status.ok()) fmt::print("{}", BenchToTable(rows.value()));
  if (status.ok() && !json_path.empty()) {
    status = ReplaceFile(json_path, BenchToJson(options, rows.value()));
  }
  if (status.ok()) return kExitOk;
  ReportError(status);
  return kExitFailed;
}

int BenchWireCommand(const std::string& json_path) {
  if (!CanWriteJson(json_path)) return kExitUsage;
  WireBenchOptions options;
  options.json_path = json_path;
  const Status status = RunWireBench(options);
  if (status.ok()) return kExitOk;
  ReportError(status);
  return kExitFailed;
}

}  // namespace drover
