#include "worker/nn/layer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace drover {

int64_t ElementsOf(const Dims& dims) {
  int64_t elements = 1;
  for (const int64_t extent : dims) elements *= extent;
  return elements;
}

std::string DimsText(const Dims& dims) { return fmt::format("{}", fmt::join(dims, "x")); }

}  // namespace drover
