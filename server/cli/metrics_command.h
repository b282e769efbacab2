// `drover get metrics JOB`: the history of a job on standard output, or as a file for TensorBoard.
// Main thread only.

#ifndef DROVER_SERVER_CLI_METRICS_COMMAND_H_
#define DROVER_SERVER_CLI_METRICS_COMMAND_H_

#include <string>

#include "server/cli/global_options.h"

namespace drover {

// `job`: name, id, or unique start of an id. `output_dir`: where the file for TensorBoard goes,
// into a folder of the job's name and id; only for that form. Returns the exit code; everything has
// been printed.
int MetricsCommand(const GlobalOptions& global, const std::string& job,
                   const std::string& output_dir);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_METRICS_COMMAND_H_
