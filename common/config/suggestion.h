// "Did you mean": the known word nearest to a misspelt one. Pure; thread-safe.

#ifndef DROVER_COMMON_CONFIG_SUGGESTION_H_
#define DROVER_COMMON_CONFIG_SUGGESTION_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal
// string alignment distance).
size_t EditDistance(std::string_view a, std::string_view b);

// `; did you mean "batch"?` when a word of `known` is at most 2 edits away and fewer than its
// letters; else `; expected one of a, b, c` when there are at most 12; else nothing.
std::string Suggest(std::string_view word, const std::vector<std::string>& known);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_SUGGESTION_H_
