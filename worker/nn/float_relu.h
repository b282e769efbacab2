// ReLU of relu.h, value by value. Inline and free of branches. Pure.

#ifndef DROVER_WORKER_NN_FLOAT_RELU_H_
#define DROVER_WORKER_NN_FLOAT_RELU_H_

#include "common/base/host_device.h"

namespace drover {

// Both comparisons are false for NaN, which therefore passes.
DROVER_HOST_DEVICE inline float ReluOf(float x) { return x <= 0.0f ? 0.0f : x; }
// dx for y = ReluOf(x).
DROVER_HOST_DEVICE inline float ReluGradient(float y, float dy) { return y <= 0.0f ? 0.0f : dy; }

}  // namespace drover

#endif  // DROVER_WORKER_NN_FLOAT_RELU_H_
