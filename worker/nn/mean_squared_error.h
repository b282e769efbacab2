// The loss of regression, as PyTorch's nn.MSELoss counts it. For outputs y [O] of one sample with
// targets t [O]:
//   loss = sum_o (y_o - t_o)^2 / O     d loss / d y = 2 (y - t) / O
//                                                  (a sum over samples follows, never a mean)
// Where the samples have classes, t is 1 at the sample's class and 0 elsewhere, and the answer is
// the largest output, the first if several are equal; else no sample counts as answered right.
// Immutable; any thread.

#ifndef DROVER_WORKER_NN_MEAN_SQUARED_ERROR_H_
#define DROVER_WORKER_NN_MEAN_SQUARED_ERROR_H_

#include <cstdint>
#include <memory>

#include "worker/nn/head.h"
#include "worker/nn/network_spec.h"

namespace drover {

class MeanSquaredError : public Head {
 public:
  // `classes`: 0, or equal to `outputs`.
  MeanSquaredError(int64_t micro_batch, int64_t outputs, int64_t classes)
      : micro_batch_(micro_batch), outputs_(outputs), classes_(classes) {}

  Status Check(const Batch& batch) const override;
  Result<BatchResult> Run(const HeadPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t outputs_;
  const int64_t classes_;
};

// kInvalidArgument when there are classes, but not 2 to 2^20 or not one output for each.
Result<std::unique_ptr<Head>> MakeMeanSquaredError(const MeanSquaredErrorSpec& spec,
                                                   const Dims& input, const LayerSetting& setting);

// CPU (mean_squared_error_cpu.cc). The loss of one sample, summed in double. `targets`: [outputs];
// null: 1 at `label`, 0 elsewhere. gradient: [outputs], or null.
double MeanSquaredErrorSampleCpu(const float* output, int64_t outputs, const float* targets,
                                 int64_t label, float* gradient);

}  // namespace drover

#endif  // DROVER_WORKER_NN_MEAN_SQUARED_ERROR_H_
