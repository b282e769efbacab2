// BertPretraining (bert_pretraining.h) on a GPU. Logits are float32 whatever lies between layers,
// and exist for as many rows at a time as fit into a fixed size. Not thread-safe; owned by one
// GpuModel.

#ifndef DROVER_WORKER_NN_BERT_PRETRAINING_GPU_H_
#define DROVER_WORKER_NN_BERT_PRETRAINING_GPU_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "worker/nn/gpu_chain.h"
#include "worker/nn/gpu_head.h"
#include "worker/nn/loss_rows_gpu.h"
#include "worker/nn/network_spec.h"

namespace drover {

class BertPretrainingGpu : public GpuHead {
 public:
  // `transform`: the layers in front of the decoder, for {M, H}; `sentence`: those of the next
  // sentence, for {H}. `logits_max`: how many logits there are at a time, at least one row.
  BertPretrainingGpu(const Head& same, const BertPretrainingSpec& spec,
                     std::unique_ptr<GpuChain> transform, std::unique_ptr<GpuChain> sentence,
                     const Dims& input, const LayerSetting& setting, int64_t logits_max);

  size_t scratch_bytes() const override { return scratch_bytes_; }
  Status Run(const GpuHeadPass& pass) override;

 private:
  // Offsets in the scratch.
  struct Offsets {
    size_t masked;           // [B, M, H], rows of the input.
    size_t masked_gradient;  // Likewise, theirs.
    size_t z_gradient;       // [B, M, H], of the transform's output.
    size_t logits;           // [rows at a time, logits_stride_] float32.
    size_t logits_gradient;  // Likewise, of the activations' type; `logits` itself for float32.
    size_t bias_sums;        // For ColumnSumsOnGpu.
    size_t first;            // [B, H], the first tokens' rows.
    size_t first_gradient;   // Likewise, theirs.
    size_t answer_gradient;  // [B, 2]
    size_t shares;           // [B] float64
    size_t masked_losses;    // [B, M] LossRow
    size_t sentence_losses;  // [B] LossRow
    size_t transform_kept;
    size_t sentence_kept;
    size_t chain_scratch;
  };

  // Where what lies at `offset` of this pass is, as activations.
  GpuValues At(const GpuHeadPass& pass, size_t offset) const {
    return {pass.scratch + offset, type_};
  }
  Status RunDecoder(const GpuHeadPass& pass);
  Status DecodeRows(const GpuHeadPass& pass, int64_t first, int64_t rows);
  Status DecodeBackward(const GpuHeadPass& pass, int64_t first, int64_t rows);
  Status RunSentence(const GpuHeadPass& pass);
  Status BackwardChain(const GpuHeadPass& pass, GpuChain* chain, size_t first_tensor, size_t input,
                       size_t output_gradient, size_t input_gradient, size_t kept);

  const BertPretrainingSpec spec_;
  const std::unique_ptr<GpuChain> transform_;
  const std::unique_ptr<GpuChain> sentence_;
  const ValueType type_;
  const int64_t micro_batch_;
  const int64_t entries_;        // B * M
  const int64_t tokens_;         // S
  const int64_t size_;           // H
  const int64_t logits_stride_;  // From a row of logits to the next, so that each begins aligned.
  const int64_t rows_at_a_time_;
  Offsets at_ = {};
  size_t scratch_bytes_ = 0;
};

// 256 MiB of logits at a time: two thousand rows of BERT's vocabulary.
inline constexpr int64_t kLogitsOnGpuMax = int64_t{1} << 26;

// `same`: the head of the CPU with this specification. Fails as layers without code for GPUs do.
Result<std::unique_ptr<GpuHead>> MakeBertPretrainingGpu(const Head& same,
                                                        const BertPretrainingSpec& spec,
                                                        const Dims& input,
                                                        const LayerSetting& setting,
                                                        int64_t logits_max = kLogitsOnGpuMax);

// Kernels. B samples of S tokens with M masked entries each, `samples` of them real; an entry asks
// if its label is not below 0. Rows have H values.
struct MaskedEntries {
  int64_t micro_batch;       // B
  int64_t samples;           // Real ones.
  int64_t tokens;            // S
  int64_t entries;           // M
  int64_t size;              // H
  const int32_t* labels;     // [B, M]
  const int32_t* positions;  // [B, M], in [0, S) where asked.
};

// shares: [B], 1 / the number of entries of the sample that ask, 0 if none does.
Status MaskedSharesOnGpu(const MaskedEntries& masked, double* shares, const GpuStream& stream);
// rows: [B, M, H], the row of `input` [B, S, H] that each entry asks for, 0 if it asks for none.
// first: [B, H], each sample's first row, 0 for samples that are not real.
Status GatherRowsOnGpu(const MaskedEntries& masked, ConstGpuValues input, GpuValues rows,
                       GpuValues first, const GpuStream& stream);
// The reverse: input_gradient [B, S, H] = 0 + the rows of the entries that asked for a token, in
// their order, + `first` for the first token. All of it is written. All of one type.
Status ScatterRowsOnGpu(const MaskedEntries& masked, ConstGpuValues rows, ConstGpuValues first,
                        GpuValues input_gradient, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_BERT_PRETRAINING_GPU_H_
