#include "server/shard/range_memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>

namespace drover {
namespace {

constexpr uint64_t kVersions = 3;

// The number after `name` at the beginning of a line, or the file's first word if that is empty.
std::optional<uint64_t> ReadNumber(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (!name.empty() && word != name) continue;
    if (!name.empty() && !(file >> word)) break;
    uint64_t number = 0;
    const char* const end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data(), end, number);
    if (error != std::errc() || rest != end) break;  // "max": no limit.
    return number;
  }
  return std::nullopt;
}

}  // namespace

uint64_t RangeBytes(const PlaceOrder& place) {
  const uint64_t elements = place.layout->SpanElements(place.blocks);
  const uint64_t arrays = kVersions + static_cast<uint64_t>(place.rule.arrays());
  return elements *
         (sizeof(int64_t) + arrays * sizeof(float) + (place.publish_bf16 ? sizeof(uint16_t) : 0));
}

std::optional<uint64_t> AvailableMemory(const std::string& root) {
  std::optional<uint64_t> available = ReadNumber(root + "/proc/meminfo", "MemAvailable:");
  if (available) *available *= 1024;
  const std::string cgroup = root + "/sys/fs/cgroup/memory.";
  const std::optional<uint64_t> limit = ReadNumber(cgroup + "max", "");
  const std::optional<uint64_t> used = ReadNumber(cgroup + "current", "");
  if (!limit || !used) return available;
  const uint64_t cache = ReadNumber(cgroup + "stat", "inactive_file").value_or(0);
  const uint64_t taken = *used - std::min(*used, cache);
  const uint64_t left = *limit - std::min(*limit, taken);
  return std::min(left, available.value_or(left));
}

}  // namespace drover
