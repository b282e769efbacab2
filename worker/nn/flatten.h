// Flatten: an image or a sequence becomes one row of values, in PyTorch's order, channels first, so
// that a Linear behind it has the weights that nn.Linear behind nn.Flatten would have. Not
// thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_FLATTEN_H_
#define DROVER_WORKER_NN_FLATTEN_H_

#include <memory>

#include "worker/nn/layer.h"

namespace drover {

class Flatten : public Layer {
 public:
  Flatten(const Dims& input, int64_t micro_batch);

  const Dims& output_dims() const override { return output_; }
  // With one channel, or none, the order is the same already.
  Storage storage() const override { return channels_ == 1 ? Storage::kView : Storage::kOwn; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t pixels_;  // Height times width; for anything but an image, all values.
  const int64_t channels_;
  const Dims output_;
};

Result<std::unique_ptr<Layer>> MakeFlatten(const Dims& input, const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_FLATTEN_H_
