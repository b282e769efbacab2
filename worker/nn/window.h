// Where square windows lie on an image: the geometry of convolution and pooling. Plain values,
// pure.

#ifndef DROVER_WORKER_NN_WINDOW_H_
#define DROVER_WORKER_NN_WINDOW_H_

#include <cstdint>

#include "worker/nn/network_spec.h"

namespace drover {

// Windows along one axis of an image.
struct WindowAxis {
  int64_t extent;  // Of the image.
  int64_t size;    // Of a window.
  int64_t stride;
  int64_t before;  // Padding in front of the first value ...
  int64_t after;   // ... and behind the last that a window reaches.
  int64_t count;   // Of windows.
};

// `extent`, `size` and `stride` at least 1; count is 0 when a kValid window is larger than the
// image.
WindowAxis MakeWindowAxis(int64_t extent, int64_t size, int64_t stride, Padding padding);

}  // namespace drover

#endif  // DROVER_WORKER_NN_WINDOW_H_
