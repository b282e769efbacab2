// Convolution layer, in the sense of neural networks (cross-correlation), over images in the order
// height, width, channels:
//
//   y[i, j, f] = bias[f] + sum over u, v, c of weight[f, c, u, v] * x[i s + u - top, j s + v -
//   left, c]
//
// with zeros outside the image and stride s.
//   "<name>.weight" [filters, channels, kernel, kernel], as PyTorch's nn.Conv2d
//   "<name>.bias"   [filters]
// Not thread-safe; owned by one Model.
//
// On the CPU these are oneDNN's convolution primitives, which read images in this order as fast as
// in their own blocked one: 183 to 239 GFLOP/s for 14x14x32 to 64 with kernel 5 on one Zen 5 core,
// where copying the windows into a matrix for sgemm reaches 161 to 171.

#ifndef DROVER_WORKER_NN_CONVOLUTION_H_
#define DROVER_WORKER_NN_CONVOLUTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"
#include "worker/nn/window.h"

namespace drover {

struct ConvolutionShape {
  int64_t samples;
  int64_t channels;
  int64_t filters;
  WindowAxis height;
  WindowAxis width;
  Precision precision = Precision::kF32;
};

// CPU (convolution_cpu.cc). x, dx: [samples, height, width, channels]; y, dy: [samples, windows
// down, windows across, filters]; weight and bias as above. Not thread-safe. kInternal when oneDNN
// refuses.
class ConvolutionCpu {
 public:
  explicit ConvolutionCpu(const ConvolutionShape& shape);
  ~ConvolutionCpu();

  // Once, before the rest: makes the kernels.
  Status Init();
  Status Forward(const float* x, const float* weight, const float* bias, float* y);
  // Adds to dweight and dbias, or overwrites them; writes dx, unless it is null.
  Status Backward(const float* x, const float* weight, const float* dy, bool accumulate,
                  float* dweight, float* dbias, float* dx);

 private:
  struct Kernels;

  const ConvolutionShape shape_;
  std::unique_ptr<Kernels> kernels_;
};

class Convolution : public Layer {
 public:
  // The layer's checks are MakeConvolution's.
  Convolution(std::string name, const ConvolutionSpec& spec, const ConvolutionShape& shape);

  std::vector<TensorSpec> tensors() const override;
  const Dims& output_dims() const override { return output_; }
  Status Init() { return cpu_.Init(); }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const std::string name_;
  const ConvolutionSpec spec_;
  const ConvolutionShape shape_;
  const Dims output_;
  ConvolutionCpu cpu_;
};

// kInvalidArgument when the input is no image, a setting is out of bounds, or no window fits.
Result<std::unique_ptr<Layer>> MakeConvolution(const std::string& name, const ConvolutionSpec& spec,
                                               const Dims& input, const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_CONVOLUTION_H_
