// WeightArrays in host memory, passes on the cores. Splits the blocks over threads; every block's
// result is its own, so the split changes no bit. Threads: see weight_arrays.h.

#ifndef DROVER_SERVER_SHARD_HOST_WEIGHT_ARRAYS_H_
#define DROVER_SERVER_SHARD_HOST_WEIGHT_ARRAYS_H_

#include <functional>
#include <memory>
#include <vector>

#include "common/tensor/layout.h"
#include "server/optim/rule_state.h"
#include "server/optim/update.h"
#include "server/shard/range_threads.h"
#include "server/shard/weight_arrays.h"

namespace drover {

class HostWeightArrays : public WeightArrays {
 public:
  HostWeightArrays(std::shared_ptr<const Layout> layout, BlockRange owned, RuleState rule,
                   int threads);

  std::vector<float*> StateToFill() override;
  void Begin(const FloatBuffer&) override {}
  std::vector<const float*> State() override;
  MeasuredSquares Measure(const UpdateNumbers& numbers, const FloatBuffer& weights,
                          const Accumulator& gradient) override;
  void Apply(const UpdateNumbers& numbers, const FloatBuffer& weights, const Accumulator& gradient,
             FloatBuffer* next) override;
  size_t bytes() const override;

 private:
  BlockView ViewOf(uint32_t block, const FloatBuffer& weights, const Accumulator& gradient);

  const std::shared_ptr<const Layout> layout_;
  const BlockRange owned_;
  const RuleState rule_;
  const RangeThreads threads_;
  std::vector<FloatBuffer> state_;  // Slots of the rule, then the slow weights if it has them.
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_HOST_WEIGHT_ARRAYS_H_
