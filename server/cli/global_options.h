// Flags that every verb takes. Values only.

#ifndef DROVER_SERVER_CLI_GLOBAL_OPTIONS_H_
#define DROVER_SERVER_CLI_GLOBAL_OPTIONS_H_

#include <chrono>
#include <string>

#include "common/rpc/channel_security.h"
#include "server/cli/terminal.h"

namespace drover {

struct GlobalOptions {
  std::string server = "127.0.0.1:50050";
  ChannelSecurity security;  // From --tls-... and --token-file.
  // The form after -o: table, json or, for metrics only, csv, jsonl, tensorboard.
  std::string output = "table";
  std::chrono::milliseconds timeout{5000};
  ColorMode color = ColorMode::kAuto;

  bool json() const { return output == "json"; }  // Data on stdout as the JSON of its proto.
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_GLOBAL_OPTIONS_H_
