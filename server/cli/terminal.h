// What kind of screen standard output and standard error are. Thread-safe.

#ifndef DROVER_SERVER_CLI_TERMINAL_H_
#define DROVER_SERVER_CLI_TERMINAL_H_

#include <cstddef>
#include <cstdio>

namespace drover {

enum class ColorMode { kAuto, kAlways, kNever };

bool IsTerminal(std::FILE* stream);

// Columns of the terminal behind `stream`; 80 when there is none.
size_t TerminalWidth(std::FILE* stream);

bool UseColor(ColorMode mode, std::FILE* stream);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_TERMINAL_H_
