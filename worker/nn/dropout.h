// Dropout (Srivastava et al. 2014): in training each value is struck out with a probability, the
// others are multiplied by 1 / (1 - probability). In evaluations y = x, unless the specification
// says that they draw too. The mask is dropout_mask.h's, keyed by the layer's name. Not
// thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_DROPOUT_H_
#define DROVER_WORKER_NN_DROPOUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/dropout_mask.h"
#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

class Dropout : public Layer {
 public:
  // The layer's checks are MakeDropout's.
  Dropout(const std::string& name, const DropoutSpec& spec, const Dims& input,
          const LayerSetting& setting);

  const Dims& output_dims() const override { return dims_; }
  Storage storage() const override { return Storage::kInPlace; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const Dims dims_;
  const int64_t micro_batch_;
  const int64_t size_;  // Values per sample.
  const bool at_evaluation_;
  const DropoutMask mask_;
  std::vector<float> factors_;  // [B, size] of the last Forward that drew: 0 or mask_.scale().
};

// kInvalidArgument when the layer has no name or the probability is not in [0, 1).
Result<std::unique_ptr<Layer>> MakeDropout(const std::string& name, const DropoutSpec& spec,
                                           const Dims& input, const LayerSetting& setting);

// CPU (dropout_cpu.cc). Factors with their sign bit set become 0; factors: [count].
void ClearStruckOutCpu(int64_t count, float* factors);
// output[i] = input[i] * factors[i]; output may be input.
void MultiplyCpu(int64_t count, const float* input, const float* factors, float* output);

}  // namespace drover

#endif  // DROVER_WORKER_NN_DROPOUT_H_
