#include "common/base/temporary_directory.h"

#include <errno.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>

namespace drover {

Result<std::string> MakeTemporaryDirectory() {
  char path[] = "/tmp/drover-XXXXXX";
  if (mkdtemp(path) == nullptr) {
    return Status(Code::kUnknown, fmt::format("making a folder under /tmp: {}", strerror(errno)));
  }
  return std::string(path);
}

}  // namespace drover
