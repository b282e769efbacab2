#include "common/base/parse.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <system_error>

#include "common/base/quote.h"

namespace drover {
namespace {

struct Suffix {
  std::string_view text;
  int64_t factor;
};

constexpr int64_t kKibi = 1024;
constexpr Suffix kCountSuffixes[] = {
    {"", 1}, {"Ki", kKibi}, {"Mi", kKibi* kKibi}, {"Gi", kKibi* kKibi* kKibi}};
constexpr Suffix kByteSuffixes[] = {{"", 1},
                                    {"B", 1},
                                    {"KiB", kKibi},
                                    {"MiB", kKibi* kKibi},
                                    {"GiB", kKibi* kKibi* kKibi},
                                    {"TiB", kKibi* kKibi* kKibi* kKibi}};
constexpr Suffix kTimeSuffixes[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

Status Refuse(std::string_view text, const std::string& expected) {
  return Status(Code::kInvalidArgument, fmt::format("{}: expected {}", Quote(text), expected));
}

// "32,000" from "32000".
std::string WithThousands(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t sign = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > sign + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

// The two readings of a decimal-looking suffix, or nothing when `suffix` is another mistake.
std::string AmbiguityHint(int64_t number, std::string_view suffix, std::string_view unit) {
  constexpr std::string_view kDecimal[] = {"k", "K", "m", "M", "g", "G", "t", "T"};
  if (suffix.ends_with(unit)) suffix.remove_suffix(unit.size());
  for (size_t i = 0; i < std::size(kDecimal); ++i) {
    if (suffix != kDecimal[i]) continue;
    int64_t decimal = number;
    int64_t binary = number;
    for (size_t power = 0; power <= i / 2; ++power) {
      if (__builtin_mul_overflow(decimal, 1000, &decimal)) return "";
      if (__builtin_mul_overflow(binary, kKibi, &binary)) return "";
    }
    return fmt::format(": {} or {} ({}{}i{})?", WithThousands(decimal), WithThousands(binary),
                       number, "KMGT"[i / 2], unit);
  }
  return "";
}

// An integer and one of `suffixes`, multiplied. `unit` ends every suffix but the empty one.
template <size_t kCount>
Result<int64_t> ParseScaled(std::string_view text, const Suffix (&suffixes)[kCount],
                            std::string_view unit, const std::string& expected) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec == std::errc::result_out_of_range) {
    return Refuse(text, expected + " that fits in 64 bits");
  }
  if (parsed.ec != std::errc()) return Refuse(text, expected);
  const std::string_view suffix(parsed.ptr, static_cast<size_t>(end - parsed.ptr));
  for (const Suffix& known : suffixes) {
    if (suffix != known.text) continue;
    int64_t scaled = 0;
    if (__builtin_mul_overflow(number, known.factor, &scaled)) {
      return Refuse(text, expected + " that fits in 64 bits");
    }
    return scaled;
  }
  return Refuse(text, expected + AmbiguityHint(number, suffix, unit));
}

}  // namespace

Result<int64_t> ParseInt(std::string_view text) {
  return ParseScaled(text, kCountSuffixes, "", "an integer such as 32768 or 32Ki");
}

Result<int64_t> ParseBytes(std::string_view text) {
  const std::string expected = "a size in bytes such as 512, 64KiB or 4MiB";
  const Result<int64_t> bytes = ParseScaled(text, kByteSuffixes, "B", expected);
  if (bytes.ok() && bytes.value() < 0) return Refuse(text, expected + ", not negative");
  return bytes;
}

Result<int64_t> ParseMilliseconds(std::string_view text) {
  const std::string expected = "a time such as 250ms, 90s, 10m or 2h";
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec == std::errc() && number < 0) return Refuse(text, expected + ", not negative");
  if (parsed.ec == std::errc() && parsed.ptr == end) {
    return Refuse(text, expected + fmt::format(": {}s or {}ms?", number, number));
  }
  for (const Suffix& known : kTimeSuffixes) {
    if (parsed.ec != std::errc() || std::string_view(parsed.ptr, end) != known.text) continue;
    int64_t scaled = 0;
    if (!__builtin_mul_overflow(number, known.factor, &scaled)) return scaled;
  }
  return Refuse(text, expected);
}

Result<double> ParseFloat(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec == std::errc::result_out_of_range) {
    return Refuse(text, "a number between 1e-308 and 1e308 in size, or 0");
  }
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(number)) {
    return Refuse(text, "a finite number such as 0.1 or 1e-3");
  }
  return number;
}

}  // namespace drover
