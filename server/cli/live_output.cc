#include "server/cli/live_output.h"

#include <fmt/format.h>

#include <algorithm>

namespace drover {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval{200};
constexpr std::chrono::seconds kLineInterval{5};
constexpr int64_t kRepeatsPrinted = 3;
constexpr size_t kLinesRemembered = 1000;

bool IsPowerOfTen(int64_t value) {
  while (value >= 10 && value % 10 == 0) value /= 10;
  return value == 1;
}

}  // namespace

LiveOutput::LiveOutput(std::FILE* out, bool terminal, bool color)
    : out_(out), terminal_(terminal), color_(color) {}

std::string LiveOutput::EraseBlock() {
  if (lines_drawn_ == 0) return "";
  // Up to the block's first line, then clear to the end of the screen.
  const std::string erase = fmt::format("\x1b[{}A\r\x1b[J", lines_drawn_);
  lines_drawn_ = 0;
  return erase;
}

void LiveOutput::PrintAbove(const std::string& line) {
  fmt::print(out_, "{}{}\n", EraseBlock(), line);
  std::fflush(out_);
  if (terminal_) last_tick_.reset();  // Redraw the block at the next tick.
}

void LiveOutput::Event(const v1::JobEvent& event) {
  // The block shows the rest by itself.
  const bool in_block = event.kind_case() == v1::JobEvent::kState ||
                        event.kind_case() == v1::JobEvent::kCheckpoint ||
                        event.kind_case() == v1::JobEvent::kEval;
  if (terminal_ && in_block) return;
  const std::string line = EventLine(event);
  if (line.empty() || !IsNews(line)) return;
  const int64_t times = printed_[line];
  PrintAbove(times > kRepeatsPrinted ? fmt::format("{} times={}", line, times) : line);
}

bool LiveOutput::IsNews(const std::string& line) {
  if (printed_.size() > kLinesRemembered) printed_.clear();
  const int64_t times = ++printed_[line];
  return times <= kRepeatsPrinted || IsPowerOfTen(times);
}

void LiveOutput::Note(const std::string& text) { PrintAbove(text); }

void LiveOutput::Tick(const Progress& progress, const LiveContext& context, Instant now) {
  const Duration interval = terminal_ ? Duration(kRedrawInterval) : Duration(kLineInterval);
  if (last_tick_.has_value() && now - *last_tick_ < interval) return;
  last_tick_ = now;
  Draw(progress, context);
}

void LiveOutput::Finish(const Progress& progress, const LiveContext& context) {
  Draw(progress, context);
  lines_drawn_ = 0;
}

void LiveOutput::Draw(const Progress& progress, const LiveContext& context) {
  if (!terminal_) {
    fmt::print(out_, "{}\n", ProgressLine(progress));
    std::fflush(out_);
    return;
  }
  // A full last column would wrap on some terminals.
  const size_t width = std::max<size_t>(TerminalWidth(out_), 41) - 1;
  const std::vector<StyledLine> lines = LiveBlockLines(progress, context, width);
  // One write, so that nothing flickers.
  std::string text = EraseBlock();
  for (const StyledLine& line : lines) text += line.Render(width, color_) + "\n";
  lines_drawn_ = lines.size();
  fmt::print(out_, "{}", text);
  std::fflush(out_);
}

}  // namespace drover
