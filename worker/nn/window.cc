#include "worker/nn/window.h"

#include <algorithm>

namespace drover {

WindowAxis MakeWindowAxis(int64_t extent, int64_t size, int64_t stride, Padding padding) {
  WindowAxis axis = {
      .extent = extent, .size = size, .stride = stride, .before = 0, .after = 0, .count = 0};
  if (padding == Padding::kValid) {
    axis.count = extent < size ? 0 : (extent - size) / stride + 1;
    return axis;
  }
  axis.count = (extent + stride - 1) / stride;
  const int64_t missing = std::max<int64_t>((axis.count - 1) * stride + size - extent, 0);
  axis.before = missing / 2;
  axis.after = missing - axis.before;
  return axis;
}

}  // namespace drover
