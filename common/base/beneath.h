// Opens what a stranger names, in one folder and nowhere else. Thread-safe: functions only.

#ifndef DROVER_COMMON_BASE_BENEATH_H_
#define DROVER_COMMON_BASE_BENEATH_H_

#include <memory>
#include <string>

#include "common/base/file_system.h"
#include "common/base/status.h"

namespace drover {

// The regular file `path` in the folder `root`: as FileSystem::OpenUserFile, but no "..", no
// absolute link and nothing that happens meanwhile leads out of `root`. `path` is relative to
// `root`, or absolute and then begins with it. Links that stay inside are followed, where the
// kernel has openat2 (Linux 5.6); else no link is. kPermissionDenied: it would lie outside.
Result<std::unique_ptr<ReadableFile>> OpenUserFileBeneath(const std::string& root,
                                                          const std::string& path);

// Whether an absolute `path` is `root` or begins with it and a slash; both without "." and double
// slashes counted. Says nothing about links.
bool IsSpelledBeneath(const std::string& root, const std::string& path);

}  // namespace drover

#endif  // DROVER_COMMON_BASE_BENEATH_H_
