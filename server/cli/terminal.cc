#include "server/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace drover {

bool IsTerminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

size_t TerminalWidth(std::FILE* stream) {
  winsize size;
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

bool UseColor(ColorMode mode, std::FILE* stream) {
  return mode == ColorMode::kAlways || (mode == ColorMode::kAuto && IsTerminal(stream));
}

}  // namespace drover
