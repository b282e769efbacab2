// `drover tokens`: the file of bearer tokens that a coordinator accepts (common/tls/token_table.h).
// A token is printed once, when it is made; the file holds its hash. Each returns the exit code;
// everything has been printed.

#ifndef DROVER_SERVER_CLI_TOKEN_COMMANDS_H_
#define DROVER_SERVER_CLI_TOKEN_COMMANDS_H_

#include <string>

namespace drover {

// Makes the file when there is none. One token per name: kAlreadyExists otherwise.
int TokensAddCommand(const std::string& file, const std::string& role, const std::string& name);
int TokensListCommand(const std::string& file);
int TokensRevokeCommand(const std::string& file, const std::string& name);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_TOKEN_COMMANDS_H_
