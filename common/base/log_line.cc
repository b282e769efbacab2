#include "common/base/log_line.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "common/base/quote.h"

namespace drover {
namespace {

// Bytes of the well-formed UTF-8 sequence that `text` begins with (Unicode 15, table 3-7); 0 when
// there is none.
size_t SequenceSize(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  // No overlong form, no surrogate, nothing above U+10FFFF.
  const bool bad = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
                   (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F);
  return bad ? 0 : size;
}

// RFC 8259, section 7.
std::string JsonString(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const size_t size = SequenceSize(text);
    const char c = text.front();
    if (size == 0) {
      quoted += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (size == 1 && (c < 0x20 || c == 0x7F)) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += text.substr(0, size);
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return quoted + '"';
}

std::string OnOneLine(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      clean += fmt::format("\\x{:02x}", byte);
    } else {
      clean += c;
    }
  }
  return clean;
}

bool IsWord(std::string_view value) {
  return !value.empty() &&
         std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c <= '~'; }) &&
         value.find('"') == std::string_view::npos;
}

std::string JobText(uint64_t job) { return fmt::format("{:016x}", job); }

// The name in "worker/NAME", or what the place says.
std::string NameOf(std::string_view kind, std::string_view task, const std::string& said) {
  const bool is_me = said.empty() && task.starts_with(kind) && task.size() > kind.size() &&
                     task[kind.size()] == '/';
  return is_me ? std::string(task.substr(kind.size() + 1)) : said;
}

}  // namespace

std::string LogText(const LogPlace& place, std::string_view message, const LogFacts& facts) {
  std::string text;
  if (place.job) text += "job=" + JobText(*place.job) + " ";
  if (place.step) text += fmt::format("step={} ", *place.step);
  if (!place.worker.empty()) text += "worker=" + OnOneLine(place.worker) + " ";
  if (!place.shard.empty()) text += "shard=" + OnOneLine(place.shard) + " ";
  text += OnOneLine(message);
  for (const auto& [name, value] : facts) {
    text += " " + name + "=" + (IsWord(value) ? value : Quote(value));
  }
  return text;
}

std::string LogJson(const LogLine& line) {
  const std::time_t seconds = static_cast<std::time_t>(line.unix_ms / 1000);
  std::string json = fmt::format(
      "{{\"time\":\"{:%Y-%m-%dT%H:%M:%S}.{:03}Z\",\"level\":{},\"task\":{}", fmt::gmtime(seconds),
      line.unix_ms % 1000, JsonString(line.level), JsonString(line.task));
  if (line.place.job) json += ",\"job\":" + JsonString(JobText(*line.place.job));
  if (line.place.step) json += fmt::format(",\"step\":{}", *line.place.step);
  const std::string worker = NameOf("worker", line.task, line.place.worker);
  const std::string shard = NameOf("shard", line.task, line.place.shard);
  if (!worker.empty()) json += ",\"worker\":" + JsonString(worker);
  if (!shard.empty()) json += ",\"shard\":" + JsonString(shard);
  json += ",\"message\":" + JsonString(line.message);
  if (!line.facts.empty()) {
    json += ",\"facts\":{";
    for (size_t i = 0; i < line.facts.size(); ++i) {
      json += (i == 0 ? "" : ",") + JsonString(line.facts[i].first) + ":" +
              JsonString(line.facts[i].second);
    }
    json += "}";
  }
  return json + "}";
}

std::string FactBlock(std::string_view headline, const LogFacts& facts) {
  size_t width = 0;
  for (const auto& [name, value] : facts) width = std::max(width, name.size());
  std::string block = OnOneLine(headline);
  for (const auto& [name, value] : facts) {
    block += fmt::format("\n  {:<{}}  {}", name, width, OnOneLine(value));
  }
  return block;
}

}  // namespace drover
