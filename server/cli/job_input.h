// From a job file to a spec that is known to be good, and the identity of a request. Thread-safe.

#ifndef DROVER_SERVER_CLI_JOB_INPUT_H_
#define DROVER_SERVER_CLI_JOB_INPUT_H_

#include <span>
#include <string>

#include "common/base/status.h"
#include "common/config/job_file.h"

namespace drover {

// Reads and checks; every error has its place in the file. kNotFound when there is no such file.
Result<JobFile> ReadCheckedJobFile(const std::string& path, std::span<const std::string> overrides);

// kInvalidArgument when the dataset's folder is not on this machine, or that of a text holds no
// token files; for jobs that run here.
Status CheckLocalDataset(const JobFile& file);

// SHA-256 of the spec, the same for equal specs.
std::string SpecDigest(const v1::JobSpec& spec);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_JOB_INPUT_H_
