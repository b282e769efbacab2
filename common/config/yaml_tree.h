// YAML text as a tree of nodes that know their position. Refuses what a configuration does not
// need and what attackers like: anchors, aliases, tags, merge keys, several documents, duplicate
// keys, deep or huge trees. Knows nothing of job files. Pure; thread-safe.

#ifndef DROVER_COMMON_CONFIG_YAML_TREE_H_
#define DROVER_COMMON_CONFIG_YAML_TREE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

inline constexpr size_t kYamlBytesMax = size_t{1} << 20;
inline constexpr size_t kYamlNodesMax = 10'000;
inline constexpr size_t kYamlDepthMax = 32;

// Counted from 1; {0, 0} is nowhere in particular.
struct TextPosition {
  int line = 0;
  int column = 0;

  friend auto operator<=>(const TextPosition&, const TextPosition&) = default;
};

struct YamlProblem {
  TextPosition at;
  std::string what;
};

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  TextPosition at;
  std::string text;     // kScalar: as the reader sees it, valid UTF-8.
  bool quoted = false;  // kScalar: written in quotes or as a block, so it is text and no number.
  std::vector<YamlNode> items;  // kList: its items. kMap: key, value, key, value ...; keys scalar.
};

// "text", "a list", ... for messages.
std::string DescribeYaml(const YamlNode& node);

// The only document in `text`; an empty one is an empty map. Nothing when there is a problem: each
// is appended to `problems`. Never throws, whatever the bytes.
std::optional<YamlNode> ParseYaml(std::string_view text, std::vector<YamlProblem>* problems);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_YAML_TREE_H_
