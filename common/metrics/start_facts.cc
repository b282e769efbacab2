#include "common/metrics/start_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

#include "common/base/parse.h"
#include "common/base/thread.h"
#include "common/metrics/exposition.h"
#include "common/metrics/process_stats.h"

namespace drover {
namespace {

constexpr char kGroupLimit[] = "/sys/fs/cgroup/memory.max";  // Version 2; "max" is none.
constexpr int64_t kMebi = int64_t{1} << 20;

int64_t MemoryBytes() {
  int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGESIZE)};
  std::string text;
  std::getline(std::ifstream(kGroupLimit), text);
  const Result<int64_t> limit = ParseInt(text);
  if (limit.ok() && limit.value() > 0) bytes = std::min(bytes, limit.value());
  return bytes;
}

}  // namespace

LogFacts StartFacts(LogFacts facts, const MetricsServer* metrics) {
  facts.emplace_back("metrics_port", fmt::format("{}", metrics == nullptr ? 0 : metrics->port()));
  facts.emplace_back("cores", fmt::format("{}", CoreCount()));
  facts.emplace_back("memory", fmt::format("{}MiB", MemoryBytes() / kMebi));
  facts.emplace_back("open_files", fmt::format("{:.0f}", ReadProcessStats().max_fds));
  return facts;
}

}  // namespace drover
