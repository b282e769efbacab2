// `drover data`: data sets, made on this machine without a cluster. Returns the exit code;
// everything has been printed.

#ifndef DROVER_SERVER_CLI_DATA_COMMANDS_H_
#define DROVER_SERVER_CLI_DATA_COMMANDS_H_

#include "server/cli/global_options.h"
#include "server/cli/tokenize.h"

namespace drover {

// Prints a line per file as it is made; with -o json the manifest instead.
int TokenizeCommand(const GlobalOptions& global, TokenizeOptions options);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DATA_COMMANDS_H_
