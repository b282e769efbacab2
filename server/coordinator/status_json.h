// The facts of the status page as JSON, and the command that a user would type next. Pure.

#ifndef DROVER_SERVER_COORDINATOR_STATUS_JSON_H_
#define DROVER_SERVER_COORDINATOR_STATUS_JSON_H_

#include <string>
#include <vector>

#include "server/coordinator/status_facts.h"

namespace drover {

struct NextCommand {
  std::string command;  // For a shell, whole; words in capitals are for the user to fill in.
  std::string why;
};

// What the selected job or, without one, the cluster needs; the most useful first, at least one.
std::vector<NextCommand> NextCommands(const StatusFacts& facts);

// What users give to --server when the coordinator listens on `address`, HOST:PORT: empty when the
// CLI asks there anyway, with the word HOST when it listens on all addresses.
std::string ServerForUsers(const std::string& address);

// One object, fields named as in StatusFacts; unknown numbers and those that are not finite are
// null. Bytes that are not UTF-8 become U+FFFD, so that any text may come in.
std::string StatusToJson(const StatusFacts& facts);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_STATUS_JSON_H_
