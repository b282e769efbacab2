// A model whose tensors are all updated here, in one piece, by the passes that shards run: what any
// number of shards must equal bit for bit. For `drover check optimizers` and for tests; it keeps no
// older version and survives nothing. One thread.

#ifndef DROVER_SERVER_OPTIM_WHOLE_MODEL_H_
#define DROVER_SERVER_OPTIM_WHOLE_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/cpu_features.h"
#include "server/optim/settings.h"
#include "server/optim/trust_ratio.h"
#include "server/optim/update.h"

namespace drover {

class WholeModel {
 public:
  struct Tensor {
    GroupSettings group;
    std::vector<float> weight;
    std::array<std::vector<float>, kSlotsMax> slots;  // As many filled as the rule has.
    std::vector<float> slow;                          // Of Lookahead, else empty.
  };

  // `isa` is one of RunnableIsas().
  WholeModel(OptimizerSettings settings, Isa isa);

  void AddTensor(std::vector<float> initial, GroupSettings group);

  // One update. gradients: one per tensor, in the order of AddTensor and of the same size: means
  // over the global batch, before clipping. Returns the ratio of each tensor, 1 for a rule without.
  std::vector<TrustRatio> Update(double learning_rate,
                                 const std::vector<std::vector<float>>& gradients);

  const Tensor& tensor(size_t index) const { return tensors_[index]; }
  size_t tensor_count() const { return tensors_.size(); }

 private:
  const OptimizerSettings settings_;
  const CpuPasses passes_;
  const CpuPasses sgd_passes_;  // Their direction is the gradient: measures its norm.
  int64_t update_ = 0;          // Updates so far.
  std::vector<Tensor> tensors_;
};

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_WHOLE_MODEL_H_
