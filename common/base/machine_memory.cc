#include "common/base/machine_memory.h"

#include <algorithm>
#include <fstream>
#include <string_view>

#include "common/base/parse.h"

namespace drover {
namespace {

constexpr int64_t kMeminfoUnit = 1024;  // It writes "kB".

// The number after the word `name`, or the file's first word if that is empty. "max" is none.
std::optional<int64_t> ReadNumber(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (!name.empty() && word != name) continue;
    if (!name.empty() && !(file >> word)) break;
    const Result<int64_t> number = ParseInt(word);
    if (!number.ok() || number.value() < 0) break;
    return number.value();
  }
  return std::nullopt;
}

std::optional<int64_t> ReadKibibytes(const std::string& path, std::string_view name) {
  std::optional<int64_t> bytes = ReadNumber(path, name);
  if (bytes) *bytes *= kMeminfoUnit;
  return bytes;
}

}  // namespace

MachineMemory ReadMachineMemory(const std::string& root) {
  const std::string machine = root + "/proc/meminfo";
  MachineMemory memory = {ReadKibibytes(machine, "MemTotal:"),
                          ReadKibibytes(machine, "MemAvailable:")};
  const std::string group = root + "/sys/fs/cgroup/memory.";
  const std::optional<int64_t> limit = ReadNumber(group + "max", "");
  if (!limit) return memory;
  memory.total = std::min(*limit, memory.total.value_or(*limit));
  const std::optional<int64_t> used = ReadNumber(group + "current", "");
  if (!used) return memory;
  const int64_t cache = ReadNumber(group + "stat", "inactive_file").value_or(0);
  const int64_t taken = *used - std::min(*used, cache);
  const int64_t left = *limit - std::min(*limit, taken);
  memory.available = std::min(left, memory.available.value_or(left));
  return memory;
}

}  // namespace drover
