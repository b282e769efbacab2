// Max pooling: the largest value of each window of an image, channel by channel; its gradient goes
// to that value, to the first of equals (row by row). What lies outside the image takes no part. A
// NaN may be passed over. On the CPU these are oneDNN's pooling primitives. Not thread-safe; owned
// by one Model.

#ifndef DROVER_WORKER_NN_MAX_POOLING_H_
#define DROVER_WORKER_NN_MAX_POOLING_H_

#include <cstdint>
#include <memory>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"
#include "worker/nn/window.h"

namespace drover {

struct MaxPoolingShape {
  int64_t samples;
  int64_t channels;
  WindowAxis height;
  WindowAxis width;
};

// CPU (max_pooling_cpu.cc). x, dx: [samples, height, width, channels]; y, dy: [samples, windows
// down, windows across, channels]. Not thread-safe. kInternal when oneDNN refuses.
class MaxPoolingCpu {
 public:
  explicit MaxPoolingCpu(const MaxPoolingShape& shape);
  ~MaxPoolingCpu();

  // Once, before the rest: makes the kernels.
  Status Init();
  // Remembers which values were the largest.
  Status Forward(const float* x, float* y);
  Status Backward(const float* dy, float* dx);

 private:
  struct Kernels;

  const MaxPoolingShape shape_;
  std::unique_ptr<Kernels> kernels_;
};

class MaxPooling : public Layer {
 public:
  // The layer's checks are MakeMaxPooling's.
  explicit MaxPooling(const MaxPoolingShape& shape)
      : output_({shape.height.count, shape.width.count, shape.channels}), cpu_(shape) {}

  const Dims& output_dims() const override { return output_; }
  Status Init() { return cpu_.Init(); }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const Dims output_;
  MaxPoolingCpu cpu_;
};

// kInvalidArgument when the input is no image, a setting is out of bounds, or no window fits.
Result<std::unique_ptr<Layer>> MakeMaxPooling(const MaxPoolingSpec& spec, const Dims& input,
                                              const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_MAX_POOLING_H_
