// Shows a job while it runs: on a terminal one block that is redrawn in place, with news scrolling
// above it; elsewhere one line every few seconds and one per event. Not thread-safe.

#ifndef DROVER_SERVER_CLI_LIVE_OUTPUT_H_
#define DROVER_SERVER_CLI_LIVE_OUTPUT_H_

#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "server/cli/live_block.h"
#include "server/cli/terminal.h"

namespace drover {

class LiveOutput {
 public:
  // `out` must outlive this. A terminal gets the block.
  LiveOutput(std::FILE* out, bool terminal, bool color);

  // News of one event, if it is any.
  void Event(const v1::JobEvent& event);
  // A line of our own, such as "worker-1 was restarted".
  void Note(const std::string& text);
  // Shows the progress when it is time to.
  void Tick(const Progress& progress, const LiveContext& context, Instant now);
  // Shows it a last time and leaves it standing.
  void Finish(const Progress& progress, const LiveContext& context);

 private:
  void Draw(const Progress& progress, const LiveContext& context);
  // Takes the block away, so that lines can be printed where it stood.
  std::string EraseBlock();
  void PrintAbove(const std::string& line);
  // Whether to print the line again: something that repeats for ever must not hide the rest.
  bool IsNews(const std::string& line);

  std::FILE* const out_;
  const bool terminal_;
  const bool color_;
  size_t lines_drawn_ = 0;
  std::map<std::string, int64_t> printed_;  // Line -> how often it came; bounded.
  std::optional<Instant> last_tick_;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_LIVE_OUTPUT_H_
