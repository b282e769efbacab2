// A job file: YAML for people, v1::JobSpec for machines. Reads and says where each field stands;
// whether the values make a job is for server/spec.h. No exception escapes, whatever the bytes.
// Thread-safe: values and functions.

#ifndef DROVER_COMMON_CONFIG_JOB_FILE_H_
#define DROVER_COMMON_CONFIG_JOB_FILE_H_

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "proto/drover/v1/job.pb.h"

namespace drover {

struct JobFile {
  std::string name;  // As given, for messages.
  v1::JobSpec spec;
  // Path of each field that is set -> where: "digits.yaml:6:1" or "--set steps=10".
  std::map<std::string, std::string> where;
};

inline constexpr int kJobFileErrorsMax = 20;

// `overrides` are the arguments of --set, "optimizer.lamb.beta1=0.8", applied in order after the
// file; a later one wins, lists are written [256, 256], and naming another member of a choice
// replaces the one in the file. Errors, at most kJobFileErrorsMax and one per line, begin with
// `name:line:column: ` or with `--set ...: `.
Result<JobFile> ParseJobFile(const std::string& name, std::string_view text,
                             std::span<const std::string> overrides = {});

// The same from a file; "-" is standard input. kNotFound when there is none.
Result<JobFile> ReadJobFile(const std::string& path, std::span<const std::string> overrides = {});

// `problem` is "field: what" (as CheckJobSpec and the server say it): puts in front where that
// field, or the group around it, stands in the file.
std::string LocateProblem(const JobFile& file, const std::string& problem);

// LocateProblem for every line, at most kJobFileErrorsMax.
std::string LocateProblems(const JobFile& file, const std::string& problems);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_JOB_FILE_H_
