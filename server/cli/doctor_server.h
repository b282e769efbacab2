// Dials a coordinator and asks it for its jobs, noting everything that goes wrong on the way. Main
// thread only.

#ifndef DROVER_SERVER_CLI_DOCTOR_SERVER_H_
#define DROVER_SERVER_CLI_DOCTOR_SERVER_H_

#include "server/cli/doctor.h"
#include "server/cli/doctor_facts.h"
#include "server/cli/global_options.h"

namespace drover {

// Sets facts->server, and facts->jobs when it answers.
void GatherServer(const GlobalOptions& global, const DoctorOptions& options, DoctorFacts* facts);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_SERVER_H_
