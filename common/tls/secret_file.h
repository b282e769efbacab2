// Files that only their owner may read, and that are never overwritten. Thread-safe: functions
// only.

#ifndef DROVER_COMMON_TLS_SECRET_FILE_H_
#define DROVER_COMMON_TLS_SECRET_FILE_H_

#include <string>

#include "common/base/status.h"

namespace drover {

// Creates `path` with `mode` (such as 0600, whatever the umask), writes and syncs it.
// kAlreadyExists when anything, a link too, has that name; nothing is left behind after an error.
Status WriteNewFile(const std::string& path, const std::string& contents, unsigned mode);

// The same, but takes the place of what was there at once, so that readers see the old or the new
// contents.
Status ReplaceFile(const std::string& path, const std::string& contents, unsigned mode);

// kPermissionDenied when every account of the machine may read or write the file. Its group may, so
// that secrets mounted by Kubernetes pass.
Status CheckSecretMode(const std::string& path);

// Changes with every replacement of the file; empty when there is none.
std::string FileStamp(const std::string& path);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_SECRET_FILE_H_
