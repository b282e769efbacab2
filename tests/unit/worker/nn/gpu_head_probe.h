// A head on a GPU beside the same head on the CPU: equal inputs, and how far apart results and
// gradients are. The twin of gpu_layer_probe.h. On the emulator and on a GPU.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_GPU_HEAD_PROBE_H_
#define DROVER_TESTS_UNIT_WORKER_NN_GPU_HEAD_PROBE_H_

#include <functional>
#include <memory>
#include <vector>

#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/gpu_head.h"
#include "worker/nn/network_spec.h"

namespace drover {

// What a head wrote; rows beyond batch.samples, too.
struct GpuHeadOutcome {
  GpuBatchResult result = {};
  std::vector<float> input_gradient;
  std::vector<std::vector<float>> weight_gradients;
};
// Bit by bit.
bool IsSame(const GpuHeadOutcome& a, const GpuHeadOutcome& b);

using GpuHeadMakerForTest = std::function<Result<std::unique_ptr<GpuHead>>(
    const HeadSpec&, const Dims&, const LayerSetting&)>;

// Runs both heads of `spec` on noise and compares counts, losses, input gradient and weight
// gradients: |gpu - cpu| <= tolerance * (1 + |cpu|). Gradient rows beyond batch.samples must be 0.
// For kBf16 inputs and weights are rounded first, so that only the head's own rounding differs.
// Returns what the head on the GPU wrote.
struct GpuHeadProbeOptions {
  Batch batch = {};          // On the host, `micro_batch` rows of whatever the head reads.
  int64_t predictions = 0;   // Masked entries of one sample.
  float input_scale = 1.0f;  // Of the noise.
  bool wants_gradient = true;
  bool accumulate = false;  // Weight gradients are added to 1.
  Precision precision = Precision::kF32;
  double tolerance = 1e-5;
  GpuHeadMakerForTest make = {};  // Empty: MakeGpuHead.
};
GpuHeadOutcome ExpectGpuHeadAgrees(const HeadSpec& spec, const Dims& input, int64_t micro_batch,
                                   const GpuHeadProbeOptions& options);

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_GPU_HEAD_PROBE_H_
