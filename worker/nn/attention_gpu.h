// Attention (attention.h) on a GPU: products for the four linear layers, and kernels that never
// store the scores. Not thread-safe; owned by one GpuModel.
//
// Forward goes over the keys in tiles with an online softmax: the largest score so far, the sum of
// exponentials and the unscaled context are corrected when a larger score comes (Dao et al. 2022,
// arXiv:2205.14135). It keeps q, k, v, c and one number per row, l = log of the sum of
// exponentials. Backward computes p = exp(s - l) again, tile by tile (Dao 2023, arXiv:2307.08691):
//   dv = kept^T dc     g = dc v^T     dots_i = sum of dc_i c_i     ds = p (g' - dots)
//   dq = ds k / sqrt(D)     dk = ds^T q / sqrt(D)
// with kept the probabilities after dropout and g' = g after dropout. One kernel sums dk and dv
// over the queries and one dq over the keys, so that no two blocks add to one number.
//
// dq, dk and dv lie side by side in rows of 3 H values: with the three weights below one another
// the input gradient is one product of 3 H terms, summed in float32 and rounded once.

#ifndef DROVER_WORKER_NN_ATTENTION_GPU_H_
#define DROVER_WORKER_NN_ATTENTION_GPU_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "worker/nn/attention.h"
#include "worker/nn/dropout_mask.h"
#include "worker/nn/gpu_layer.h"
#include "worker/nn/linear.h"

namespace drover {

inline constexpr int64_t kAttentionHeadSizeMax = 128;

// What the kernels of both passes are told. Arrays in device memory.
struct AttentionCall {
  int64_t samples;            // B.
  int64_t tokens;             // S.
  int64_t heads;              // A.
  int64_t head_size;          // D, 1 to kAttentionHeadSizeMax.
  const int32_t* lengths;     // [B]; null: S.
  const uint64_t* positions;  // [B]; read if `dropping`.
  bool dropping;
  DropoutDraw dropout;
};

class AttentionGpu : public GpuLayer {
 public:
  AttentionGpu(const Layer& same, const std::string& name, const AttentionSpec& spec,
               const Dims& input, const LayerSetting& setting);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  struct Kept {
    GpuValues query, key, value, context;  // [B, S, H]
    float* log_sums;                       // [B, A, S]
  };
  Kept KeptAt(std::byte* memory) const;
  AttentionCall CallOf(const Batch& batch) const;
  Status BackwardInputs(const GpuBackwardPass& pass, GpuValues gradients) const;

  const int64_t heads_;
  const int64_t tokens_;     // S.
  const int64_t size_;       // H.
  const LinearShape shape_;  // Of all four linear layers.
  const ValueType type_;
  const double dropout_;
  const DropoutMask mask_;

  // Aligned sizes. Scratch is the gradient of c [B, S, H], then dq, dk and dv [B, S, 3 H], the
  // three weights [3 H, H], dots [B, A, S] and what linear layers need.
  const size_t activation_bytes_;
  const size_t gradients_bytes_;
  const size_t weights_bytes_;
  const size_t row_sums_bytes_;

  bool dropping_ = false;  // In the last Forward.
};

// kUnimplemented when a head has more than kAttentionHeadSizeMax values; the rest was checked for
// `same`.
Result<std::unique_ptr<GpuLayer>> MakeAttentionGpu(const Layer& same, const std::string& name,
                                                   const AttentionSpec& spec, const Dims& input,
                                                   const LayerSetting& setting);

// Writes c and the log-sums; rows of c behind the length become 0, log-sums there stay undefined.
// Values are of one type.
// query, key, value, context: [B, S, H], H = A D; log_sums: [B, A, S].
Status AttentionForwardGpu(const AttentionCall& call, ConstGpuValues query, ConstGpuValues key,
                           ConstGpuValues value, GpuValues context, float* log_sums,
                           const GpuStream& stream);

// As Forward read and left them, and the gradient of c.
struct AttentionState {
  ConstGpuValues query, key, value, context, context_gradient;  // [B, S, H]
  const float* log_sums;                                        // [B, A, S]
};
// gradients: [B, S, 3 H], dq, dk and dv side by side, written; 0 behind the length. dots: [B, A,
// S], scratch.
Status AttentionBackwardGpu(const AttentionCall& call, const AttentionState& state, float* dots,
                            GpuValues gradients, const GpuStream& stream);

// The same on tensor cores, where AttentionUsesTensorCores says so: the functions above call these.
// Probabilities and ds are rounded to bfloat16 before they are multiplied.
constexpr bool AttentionUsesTensorCores(ValueType type, int64_t head_size) {
  return type == ValueType::kBf16 && (head_size == 32 || head_size == 64 || head_size == 128);
}
Status AttentionForwardTensorGpu(const AttentionCall& call, ConstGpuValues query,
                                 ConstGpuValues key, ConstGpuValues value, GpuValues context,
                                 float* log_sums, const GpuStream& stream);
Status AttentionBackwardTensorGpu(const AttentionCall& call, const AttentionState& state,
                                  float* dots, GpuValues gradients, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_ATTENTION_GPU_H_
