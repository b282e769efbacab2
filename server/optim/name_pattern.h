// A regular expression over names of tensors, in RE2's syntax: matching takes time linear in the
// name whatever the pattern, so a hostile one costs nothing. A value; copies share the compiled
// form. Any thread.

#ifndef DROVER_SERVER_OPTIM_NAME_PATTERN_H_
#define DROVER_SERVER_OPTIM_NAME_PATTERN_H_

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace re2 {
class RE2;
}

namespace drover {

inline constexpr size_t kNamePatternBytesMax = 200;

class NamePattern {
 public:
  // kInvalidArgument saying what is wrong with it, when `text` is empty, longer than
  // kNamePatternBytesMax, no regular expression, or one that takes more than 1 MiB.
  static Result<NamePattern> Compile(std::string_view text);

  // Whether it occurs anywhere in the name; ^ and $ are the ends of the name.
  bool Matches(std::string_view name) const;

  const std::string& text() const { return text_; }

  friend bool operator==(const NamePattern& a, const NamePattern& b) { return a.text_ == b.text_; }

 private:
  NamePattern(std::string text, std::shared_ptr<const re2::RE2> compiled);

  std::string text_;
  std::shared_ptr<const re2::RE2> compiled_;
};

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_NAME_PATTERN_H_
