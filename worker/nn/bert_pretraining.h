// The two tasks of BERT's pre-training (Devlin et al. 2018, arXiv:1810.04805) on the encoder's
// output, [S, H] per sample, with Hugging Face's names of the tensors. Not thread-safe; owned by
// one Model.
//
// Masked tokens (MLM), for each masked position with a label:
//   z = LayerNorm(gelu(dense(x at the position)))     "cls.predictions.transform.dense",
//   "...LayerNorm" logits = z E^T + "cls.predictions.bias"           E the word embedding, shared
//   (tied)
// Next sentence (NSP), from the first token:
//   logits = seq_relationship(tanh(pooler(x)))        "bert.pooler.dense", "cls.seq_relationship"
//   label 0: the second part follows the first in the text; 1: it does not.
// Loss of a sample: the mean of the cross-entropy over its masked tokens, plus NSP's. (PyTorch's
// BERT takes the mean over all masked tokens of a batch, which depends on what a sample is batched
// with; where every sample has the same number of them the two are equal.) A sample without masked
// tokens has NSP's loss alone.
// `correct` counts NSP, of which every sample has one; masked tokens are reported apart.

#ifndef DROVER_WORKER_NN_BERT_PRETRAINING_H_
#define DROVER_WORKER_NN_BERT_PRETRAINING_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "worker/nn/chain.h"
#include "worker/nn/head.h"
#include "worker/nn/linear.h"
#include "worker/nn/network_spec.h"

namespace drover {

class BertPretraining : public Head {
 public:
  // `transform`: the layers in front of the decoder, for {M, H}. Checks are MakeBertPretraining's.
  BertPretraining(const BertPretrainingSpec& spec, std::unique_ptr<Chain> transform,
                  const Dims& input, const LayerSetting& setting);

  std::vector<TensorSpec> tensors() const override;
  Status Check(const Batch& batch) const override;
  Result<BatchResult> Run(const HeadPass& pass) override;

 private:
  // Whether the masked entry of this number, in [0, B * M), is a prediction to be made.
  bool IsAsked(const Batch& batch, int64_t entry) const;
  void GatherMasked(const HeadPass& pass);
  // Logits, loss and their gradient for a few rows at a time: all at once would be too large.
  Status RunDecoder(const HeadPass& pass, BatchResult* result);
  Status DecodeRows(const HeadPass& pass, int64_t first, int64_t rows, BatchResult* result);
  Status BackwardMasked(const HeadPass& pass);
  Status RunNextSentence(const HeadPass& pass, BatchResult* result);
  Status BackwardNextSentence(const HeadPass& pass);

  const BertPretrainingSpec spec_;
  const std::unique_ptr<Chain> transform_;
  const int64_t micro_batch_;
  const int64_t tokens_;  // S.
  const int64_t size_;    // H.
  const LinearShape pooler_shape_;
  const LinearShape sentence_shape_;

  std::vector<float> masked_;           // [B, M, H], rows of the input.
  std::vector<float> masked_gradient_;  // [B, M, H], theirs.
  std::vector<float> z_gradient_;       // [B, M, H], of the transform's output.
  std::vector<float> logits_;           // [rows at a time, vocabulary], then their gradient.
  std::vector<float> first_, pooled_, pooled_gradient_;     // [B, H]
  std::vector<float> sentence_logits_, sentence_gradient_;  // [B, 2]
};

// kInvalidArgument when the input is not {S, H} or a size is out of bounds.
Result<std::unique_ptr<Head>> MakeBertPretraining(const BertPretrainingSpec& spec,
                                                  const Dims& input, const LayerSetting& setting);

// The layers in front of the decoder.
std::vector<LayerSpec> BertTransformLayers(const BertPretrainingSpec& spec, int64_t size);

// CPU (bert_pretraining_cpu.cc). The cross-entropy in nats of one row of logits, which become
// `scale` times its gradient; sets *correct to whether the first of the largest is the label's.
double MaskedTokenLossCpu(int64_t vocabulary, int32_t label, float scale, float* logits,
                          bool* correct);

}  // namespace drover

#endif  // DROVER_WORKER_NN_BERT_PRETRAINING_H_
