// A folder for what need not outlive the process. Thread-safe.

#ifndef DROVER_COMMON_BASE_TEMPORARY_DIRECTORY_H_
#define DROVER_COMMON_BASE_TEMPORARY_DIRECTORY_H_

#include <string>

#include "common/base/status.h"

namespace drover {

// A new folder under /tmp, for us alone (mode 0700). Who made it removes it.
Result<std::string> MakeTemporaryDirectory();

}  // namespace drover

#endif  // DROVER_COMMON_BASE_TEMPORARY_DIRECTORY_H_
