// Reads the facts of this machine, of the programs and folders on it, and of the caller's own
// certificates. Changes nothing. Main thread only.

#ifndef DROVER_SERVER_CLI_DOCTOR_GATHER_H_
#define DROVER_SERVER_CLI_DOCTOR_GATHER_H_

#include <string>
#include <vector>

#include "common/tls/tls_flags.h"
#include "server/cli/doctor_facts.h"

namespace drover {

MachineFacts GatherMachine();
// Starts each daemon with --version; `directory` is where they are.
std::vector<ProgramFacts> GatherPrograms(const std::string& directory);
StateFacts GatherState(const std::string& directory);
// The addresses that the daemons take by default.
std::vector<PortFacts> GatherPorts();
CredentialFacts GatherCredentials(const TlsFlags& flags, const std::string& token_file);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_GATHER_H_
