// `drover certs`: a small certificate authority and what it signs, made on this machine without a
// cluster. Each returns the exit code; everything has been printed. No file is ever overwritten.

#ifndef DROVER_SERVER_CLI_CERTS_COMMANDS_H_
#define DROVER_SERVER_CLI_CERTS_COMMANDS_H_

#include <string>
#include <vector>

namespace drover {

struct CertsOptions {
  std::string directory;           // Of the authority: ca.crt and ca.key.
  std::vector<std::string> hosts;  // Of coordinator and shards, besides those of loopback.
  int days = 365;
  int authority_days = 3650;
  // For issue only.
  std::string role;
  std::string name;
  std::string out;  // Folder; empty: `directory`.
};

// The authority and NAME.crt and NAME.key for coordinator, shard, worker, user (a submitter) and
// admin. kAlreadyExists, and nothing is written, when one of the files is there.
int CertsInitCommand(const CertsOptions& options);

// One more certificate: NAME.crt, NAME.key and a copy of ca.crt in `out`.
int CertsIssueCommand(const CertsOptions& options);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_CERTS_COMMANDS_H_
