#include "common/metrics/start_facts.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/machine_memory.h"
#include "common/base/thread.h"
#include "common/metrics/exposition.h"
#include "common/metrics/process_stats.h"

namespace drover {
namespace {

constexpr int64_t kMebi = int64_t{1} << 20;

std::string MemoryText() {
  const std::optional<int64_t> bytes = ReadMachineMemory().total;
  return bytes ? fmt::format("{}MiB", *bytes / kMebi) : "unknown";
}

}  // namespace

LogFacts StartFacts(LogFacts facts, const MetricsServer* metrics) {
  facts.emplace_back("metrics_port", fmt::format("{}", metrics == nullptr ? 0 : metrics->port()));
  facts.emplace_back("cores", fmt::format("{}", CoreCount()));
  facts.emplace_back("memory", MemoryText());
  facts.emplace_back("open_files", fmt::format("{:.0f}", ReadProcessStats().max_fds));
  return facts;
}

}  // namespace drover
