// A layer on a GPU. Its formulas, tensors, limits and error messages are those of the layer of the
// CPU, which stands in x.h; this one, in x_gpu.h, enqueues the same arithmetic into a stream: with
// kernels of our own (x_gpu.cu) and products of a library (gpu_products.h). It owns no memory: it
// says before the first step how many bytes it needs, and is handed them with each pass. Not
// thread-safe; owned by one GpuModel.
//
// A pass only enqueues. It never waits, allocates or reads device memory, and every sum has one
// order: no floats are added atomically. So the same bits come out on every run.

#ifndef DROVER_WORKER_NN_GPU_LAYER_H_
#define DROVER_WORKER_NN_GPU_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "common/tensor/layout.h"
#include "worker/nn/gpu_products.h"
#include "worker/nn/gpu_values.h"
#include "worker/nn/layer.h"

namespace drover {

// What passes are enqueued into. Borrowed.
struct GpuLane {
  const GpuStream* stream;
  GpuProducts* products;
};

// One tensor. `rounded` are the same values as bfloat16, null unless the precision is kBf16.
struct GpuWeight {
  const float* values;
  const uint16_t* rounded;

  // As a factor of products with activations of this type, or their bias.
  ConstGpuValues As(ValueType type) const {
    return type == ValueType::kBf16 ? ConstGpuValues(rounded, type) : ConstGpuValues(values, type);
  }
};

// Bytes of device memory. Whoever hands them out begins each at a multiple of kGpuAlignment.
struct GpuBytes {
  size_t kept = 0;     // From a Forward to its Backward.
  size_t scratch = 0;  // During one pass; others use it in between.
};
inline constexpr size_t kGpuAlignment = 256;

constexpr size_t AlignedBytes(size_t bytes) {
  return (bytes + kGpuAlignment - 1) / kGpuAlignment * kGpuAlignment;
}

// B is the micro-batch; all B rows can be read, batch->samples of them are real. Device memory but
// for the structs themselves; batch has device pointers, `seed` and `samples` are values.
struct GpuForwardPass {
  GpuLane lane;
  const Batch* batch;
  bool training;                       // Dropout acts.
  ConstGpuValues input;                // [B, input size]; null for networks fed with tokens.
  std::span<const GpuWeight> weights;  // One per tensor of tensors().
  GpuValues output;                    // [B, output size]; may be `input` for kInPlace layers.
  std::byte* kept;
  std::byte* scratch;
};

struct GpuBackwardPass {
  GpuLane lane;
  const Batch* batch;
  ConstGpuValues input;  // As in Forward, unless the next layer is kInPlace.
  ConstGpuValues output;
  std::span<const GpuWeight> weights;
  GpuValues output_gradient;  // [B, output size]. May be overwritten.
  GpuValues input_gradient;   // [B, input size], written; null: nobody needs it. May be
                              // `output_gradient` for kInPlace layers.
  std::span<const GradientSum> weight_gradients;  // float32: sums over the B samples.
  std::byte* kept;                                // As Forward left it.
  std::byte* scratch;
};

class GpuLayer {
 public:
  // `same`: the layer of the CPU with this specification, for any micro-batch.
  explicit GpuLayer(const Layer& same)
      : tensors_(same.tensors()),
        output_dims_(same.output_dims()),
        storage_(same.storage()),
        keeps_output_(same.keeps_output()) {}
  virtual ~GpuLayer() = default;
  GpuLayer(const GpuLayer&) = delete;
  GpuLayer& operator=(const GpuLayer&) = delete;

  // As of Layer.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const Dims& output_dims() const { return output_dims_; }
  Layer::Storage storage() const { return storage_; }
  bool keeps_output() const { return keeps_output_; }

  // A pure function of the specification; needs no GPU.
  virtual GpuBytes bytes() const { return {}; }
  virtual Status Forward(const GpuForwardPass& pass) = 0;
  virtual Status Backward(const GpuBackwardPass& pass) = 0;

 private:
  const std::vector<TensorSpec> tensors_;
  const Dims output_dims_;
  const Layer::Storage storage_;
  const bool keeps_output_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_LAYER_H_
