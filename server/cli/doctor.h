// `drover doctor`: whether this machine can run Drover, and what to do where it cannot. Looks,
// changes nothing. What it knows: doctor_checks.h. Main thread only.

#ifndef DROVER_SERVER_CLI_DOCTOR_H_
#define DROVER_SERVER_CLI_DOCTOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/tls/tls_flags.h"
#include "server/cli/doctor_checks.h"
#include "server/cli/global_options.h"

namespace drover {

struct DoctorOptions {
  std::string state_dir = "/tmp";
  std::string job_file;          // Empty: none.
  int64_t gpu_memory_bytes = 0;  // Of a GPU the job is meant for; 0: this machine's.
  // As given, whether or not they can be used.
  TlsFlags tls;
  std::string token_file;
  bool server_given = false;
  bool can_call = true;  // global.security is what these flags mean.
};

std::string FormatFindings(const std::vector<Finding>& findings, bool color);
std::string FindingsToJson(const std::vector<Finding>& findings);

// Exit code 1 when something fails.
int DoctorCommand(const GlobalOptions& global, const DoctorOptions& options);

// One health call to a daemon: 0 when it serves.
int ProbeCommand(const GlobalOptions& global, const std::string& address);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_H_
