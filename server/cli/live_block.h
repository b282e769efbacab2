// The block a terminal shows while a job runs, and the lines that everything else gets. Pure: the
// text only.

#ifndef DROVER_SERVER_CLI_LIVE_BLOCK_H_
#define DROVER_SERVER_CLI_LIVE_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/cli/progress.h"
#include "server/cli/styled_line.h"

namespace drover {

// What is shown beside the job itself.
struct LiveContext {
  int64_t now_unix_ms = 0;
  bool reconnecting = false;
};

Tone ToneOf(v1::JobState state);

// Three or four lines, each at most `width` characters (at least 40).
std::vector<StyledLine> LiveBlockLines(const Progress& progress, const LiveContext& context,
                                       size_t width);

// `job=digits step=40 steps=73 ...`, one line without its end.
std::string ProgressLine(const Progress& progress);

// `event=evaluation step=40 accuracy=0.951 loss=0.17`, or nothing for an event that is no news of
// its own (steps, debug and info logs).
std::string EventLine(const v1::JobEvent& event);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_LIVE_BLOCK_H_
