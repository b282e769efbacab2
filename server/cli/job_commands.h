// The verbs that talk to a coordinator about jobs: submit, get, describe, watch, logs, cancel,
// suspend, resume, delete. Each returns the exit code; everything has been printed. Main thread
// only.

#ifndef DROVER_SERVER_CLI_JOB_COMMANDS_H_
#define DROVER_SERVER_CLI_JOB_COMMANDS_H_

#include <optional>
#include <string>
#include <vector>

#include "server/cli/global_options.h"

namespace drover {

struct SubmitOptions {
  std::string job_file;
  std::vector<std::string> overrides;
  std::string request_id;  // Empty: a new one.
  bool dry_run = false;
  bool watch = false;
};
int SubmitCommand(const GlobalOptions& global, const SubmitOptions& options);

// `words`: [KIND] [NAME] as typed; KIND is job or checkpoint, singular or plural, or metrics, which
// alone takes `output_dir`.
int GetCommand(const GlobalOptions& global, const std::vector<std::string>& words,
               const std::string& output_dir = "");
int DescribeCommand(const GlobalOptions& global, const std::vector<std::string>& words);

int WatchCommand(const GlobalOptions& global, const std::string& job);

struct LogsOptions {
  std::string job;
  bool follow = false;
  std::string task;         // Only lines of this task; empty: all.
  std::optional<int> tail;  // Only the last ones.
};
int LogsCommand(const GlobalOptions& global, const LogsOptions& options);

enum class JobVerbName { kCancel, kSuspend, kResume };
int VerbCommand(const GlobalOptions& global, JobVerbName verb, const std::string& job);
int DeleteCommand(const GlobalOptions& global, const std::string& job);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_JOB_COMMANDS_H_
