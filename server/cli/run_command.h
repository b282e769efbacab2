// `drover run`: a local cluster, one job, its result. Main thread only.

#ifndef DROVER_SERVER_CLI_RUN_COMMAND_H_
#define DROVER_SERVER_CLI_RUN_COMMAND_H_

#include <string>
#include <vector>

#include "server/cli/global_options.h"

namespace drover {

struct RunOptions {
  std::string job_file;
  std::vector<std::string> overrides;
  int workers = 2;
  int shards = 2;
  std::string state_dir;  // Empty: a temporary one.
  bool keep = false;      // The temporary one.
  std::string json_path;  // Empty: none.
  std::string log_level = "info";
};

// The exit code; everything has been printed.
int RunCommand(const GlobalOptions& global, const RunOptions& options);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_RUN_COMMAND_H_
