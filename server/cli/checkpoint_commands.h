// `drover checkpoint export` and `verify`: files of a finished or running job, read directly. Each
// returns the exit code; everything has been printed.

#ifndef DROVER_SERVER_CLI_CHECKPOINT_COMMANDS_H_
#define DROVER_SERVER_CLI_CHECKPOINT_COMMANDS_H_

#include <cstdint>
#include <string>

#include "server/cli/global_options.h"

namespace drover {

struct ExportOptions {
  std::string out_path;
  int64_t heads = 0;  // Of a BERT, for its config.json; 0: as the job says, or 64 values each.
};

// `checkpoint` is a folder, or the id of a checkpoint whose folder this machine can read.
int ExportCheckpointCommand(const GlobalOptions& global, const std::string& checkpoint,
                            const ExportOptions& options);
int VerifyCheckpointCommand(const GlobalOptions& global, const std::string& checkpoint);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_CHECKPOINT_COMMANDS_H_
