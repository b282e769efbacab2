// One line of a log, as text for people or as JSON for machines. Whatever the bytes of a message
// are, a line stays one line, and JSON stays JSON. Pure; thread-safe.

#ifndef DROVER_COMMON_BASE_LOG_LINE_H_
#define DROVER_COMMON_BASE_LOG_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover {

// What a line is about. What is not known is not printed.
struct LogPlace {
  std::optional<uint64_t> job = std::nullopt;
  std::optional<int64_t> step = std::nullopt;
  std::string worker = {};  // Its name.
  std::string shard = {};   // Its name.
};

// Facts of a start, in the order in which they are shown.
using LogFacts = std::vector<std::pair<std::string, std::string>>;

struct LogLine {
  int64_t unix_ms = 0;
  std::string_view level;  // "info"
  std::string_view task;   // Who logs: "coordinator", "shard/NAME", "worker/NAME".
  LogPlace place;
  std::string_view message;
  LogFacts facts;
};

// job=00000000000000ff step=3 worker=w1 shard=s1 MESSAGE name=value other="two words"
// Control bytes, which could forge lines or move a cursor, are shown as \xNN.
std::string LogText(const LogPlace& place, std::string_view message, const LogFacts& facts = {});

// {"time":"2026-01-31T12:00:00.000Z","level":"info","task":"shard/s1","job":"00000000000000ff",
// "step":3,"worker":"w1","shard":"s1","message":"...","facts":{"name":"value"}}
// without a newline. A task that is a worker or shard is also its field. Bytes that are no UTF-8
// become U+FFFD.
std::string LogJson(const LogLine& line);

// Facts below a headline, one per line, their values in one column.
std::string FactBlock(std::string_view headline, const LogFacts& facts);

}  // namespace drover

#endif  // DROVER_COMMON_BASE_LOG_LINE_H_
