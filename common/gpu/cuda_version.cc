#include <fmt/format.h>

#include "common/gpu/device.h"

namespace drover {

std::string CudaVersionName(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace drover
