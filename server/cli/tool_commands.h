// `drover check` and `drover bench`: the library's own proofs and measurements, without a cluster.
// Each returns the exit code; everything has been printed.

#ifndef DROVER_SERVER_CLI_TOOL_COMMANDS_H_
#define DROVER_SERVER_CLI_TOOL_COMMANDS_H_

#include <string>

namespace drover {

int CheckOptimizersCommand(const std::string& answers_path, const std::string& rule);
int BenchOptimizerCommand(const std::string& json_path);
int BenchWireCommand(const std::string& json_path);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_TOOL_COMMANDS_H_
