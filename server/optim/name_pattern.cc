#include "server/optim/name_pattern.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <utility>

#include "common/base/quote.h"

namespace drover {
namespace {

constexpr int64_t kMemoryMax = int64_t{1} << 20;

}  // namespace

NamePattern::NamePattern(std::string text, std::shared_ptr<const re2::RE2> compiled)
    : text_(std::move(text)), compiled_(std::move(compiled)) {}

Result<NamePattern> NamePattern::Compile(std::string_view text) {
  if (text.empty() || text.size() > kNamePatternBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("has {} bytes, expected a regular expression of 1 to {}", text.size(),
                              kNamePatternBytesMax));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  auto compiled =
      std::make_shared<const re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  if (!compiled->ok()) {
    return Status(Code::kInvalidArgument, fmt::format("is {}, expected a regular expression: {}",
                                                      Quote(text), Quote(compiled->error())));
  }
  return NamePattern(std::string(text), std::move(compiled));
}

bool NamePattern::Matches(std::string_view name) const {
  return re2::RE2::PartialMatch(re2::StringPiece(name.data(), name.size()), *compiled_);
}

}  // namespace drover
