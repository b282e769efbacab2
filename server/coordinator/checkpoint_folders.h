// The folders of jobs under the checkpoint directory, each as a whole: they go when their job is
// deleted, and what an abandoned checkpoint left in them goes when the coordinator starts. Errors
// name the path. Thread-safe: functions only, each for folders that nobody else changes meanwhile.

#ifndef DROVER_SERVER_COORDINATOR_CHECKPOINT_FOLDERS_H_
#define DROVER_SERVER_COORDINATOR_CHECKPOINT_FOLDERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"

namespace drover {

// Deleting takes three steps, so that a kill leaves neither a job without its checkpoints nor
// checkpoints without a job for long: the folder is renamed, the job forgotten, the folder removed.
Status HideJobFolder(FileSystem& fs, const std::string& root, uint64_t job);  // Absent is fine.
// The folder was hidden, and its job is not forgotten after all.
Status ShowJobFolder(FileSystem& fs, const std::string& root, uint64_t job);
std::string HiddenJobFolder(const std::string& root, uint64_t job);

// At start, before any checkpoint is written; `jobs` are all that the job store knows. Shows hidden
// folders of jobs that are known, removes those of others, and removes what abandoned checkpoints
// left with known jobs. Folders of jobs that are not known are left alone: they may be another
// coordinator's. Returns what was removed and what could not be, for the log.
std::vector<std::string> TidyJobFolders(FileSystem& fs, const std::string& root,
                                        const std::vector<uint64_t>& jobs);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_CHECKPOINT_FOLDERS_H_
