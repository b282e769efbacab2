// Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762), as in BERT: every token looks
// at every token of its own sample that is not padding. Not thread-safe; owned by one Model.
//
// S tokens of H values, A heads of D = H / A values, {S, H} to {S, H}. Linear layers (linear.h)
// with H inputs and outputs, named as Hugging Face names them:
//   q, k, v = "<name>.self.query", "<name>.self.key", "<name>.self.value" of x
//   p = softmax over the keys of (q_i . k_j / sqrt(D)), per head; keys behind the length have p = 0
//   c = dropout(p) v, the heads side by side      y = "<name>.output.dense" of c
// Rows of c behind the length are 0, and nothing is derived from them.

#ifndef DROVER_WORKER_NN_ATTENTION_H_
#define DROVER_WORKER_NN_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/dropout_mask.h"
#include "worker/nn/layer.h"
#include "worker/nn/linear.h"
#include "worker/nn/network_spec.h"

namespace drover {

class Attention : public Layer {
 public:
  // The layer's checks are MakeAttention's.
  Attention(std::string name, const AttentionSpec& spec, const Dims& input,
            const LayerSetting& setting);

  std::vector<TensorSpec> tensors() const override;
  const Dims& output_dims() const override { return dims_; }
  Status Forward(const ForwardPass& pass) override;
  // Once after each Forward: it writes its gradients over what Forward kept.
  Status Backward(const BackwardPass& pass) override;

 private:
  // One head of one sample, as views into the arrays below.
  struct Head {
    int64_t length;        // Tokens that are not padding.
    int64_t offset;        // Of its first value in query_, key_, value_ and context_.
    float* probabilities;  // [length, length]
  };

  int64_t LengthOf(const Batch& batch, int64_t sample) const;
  Head HeadOf(const Batch& batch, int64_t sample, int64_t head);
  // Strikes out probabilities of this head.
  void Drop(const Batch& batch, int64_t sample, int64_t head, const Head& of) const;
  // What multiplies the values: the probabilities themselves, or scratch_ when some are dropped.
  const float* Kept(const Head& head);
  Status HeadForward(const Head& head);
  // context_ holds the gradient of c and is read; q, k and v become their gradients.
  Status HeadBackward(const Head& head);
  Status BackwardInputs(const BackwardPass& pass);
  // Rows of `values`, [B, S, H], behind the length of the sample become 0.
  void ZeroPadding(const Batch& batch, int64_t sample, std::vector<float>* values) const;

  const std::string name_;
  const AttentionSpec spec_;
  const Dims dims_;
  const int64_t micro_batch_;
  const int64_t tokens_;     // S.
  const int64_t size_;       // H.
  const int64_t head_size_;  // D.
  const LinearShape shape_;  // Of all four linear layers.
  const DropoutMask mask_;
  bool dropping_ = false;  // In the last Forward.

  std::vector<float> query_, key_, value_, context_;  // [B, S, H]
  // [B, A, S, S], each head's matrix dense with its sample's length. A probability that dropout
  // struck out has its sign bit set.
  std::vector<float> probabilities_;
  std::vector<float> scratch_;                                         // [S, S]
  std::vector<float> query_gradient_, key_gradient_, value_gradient_;  // [S, D]
};

// kInvalidArgument when the input is not {S, H} or H is not a multiple of the heads.
Result<std::unique_ptr<Layer>> MakeAttention(const std::string& name, const AttentionSpec& spec,
                                             const Dims& input, const LayerSetting& setting);

// CPU (attention_cpu.cc). Rows of `length` scores become probabilities, in place.
void SoftmaxRowsCpu(int64_t rows, int64_t length, float* scores);
// kept: [count], the probabilities times `scale`, 0 where the sign bit is set.
void KeptProbabilitiesCpu(int64_t count, float scale, const float* probabilities, float* kept);
// gradient: [rows, length] d loss / d what multiplied the values; becomes d loss / d scores.
// probabilities and scale as above.
void SoftmaxRowsBackwardCpu(int64_t rows, int64_t length, float scale, const float* probabilities,
                            float* gradient);

}  // namespace drover

#endif  // DROVER_WORKER_NN_ATTENTION_H_
