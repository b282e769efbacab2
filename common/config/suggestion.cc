#include "common/config/suggestion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace drover {
namespace {

constexpr size_t kDistanceMax = 2;
constexpr size_t kListedMax = 12;
constexpr size_t kWordBytesMax = 64;  // Longer ones are no misspelt field.

}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  // row[j]: distance between the first i letters of a and the first j of b.
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string Suggest(std::string_view word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  size_t best_distance = kDistanceMax + 1;
  for (const std::string& candidate : known) {
    if (word.size() > kWordBytesMax) break;
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best != nullptr) return fmt::format("; did you mean \"{}\"?", *best);
  if (known.empty() || known.size() > kListedMax) return "";
  return fmt::format("; expected {}{}", known.size() > 1 ? "one of " : "", fmt::join(known, ", "));
}

}  // namespace drover
