// Embedding (embedding.h) on a GPU. Whoever brings a batch to the device calls CheckTokens before:
// kernels take tokens, segments and lengths as they are. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_EMBEDDING_GPU_H_
#define DROVER_WORKER_NN_EMBEDDING_GPU_H_

#include <cstddef>
#include <cstdint>

#include "worker/nn/embedding.h"
#include "worker/nn/gpu_layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

// S tokens per sample, H values per token, as in embedding.h.
struct EmbeddingShapeGpu {
  int64_t micro_batch;
  int64_t length;  // S.
  int64_t size;    // H.
  int64_t vocabulary;
  int64_t segments;  // 0: none are read.

  int64_t rows() const { return micro_batch * length; }
};

class EmbeddingGpu : public GpuLayer {
 public:
  EmbeddingGpu(const Layer& same, const EmbeddingSpec& spec, const Dims& input,
               const LayerSetting& setting);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const EmbeddingShapeGpu shape_;
  const bool has_positions_;
  const int64_t positions_beyond_;  // Rows of the table of positions that no token reaches.
};

// y: [micro_batch, S, H]; the sum of up to three rows per token, 0 behind a sample's length.
struct EmbeddingTables {
  const float* words = nullptr;      // [vocabulary, H]
  const float* positions = nullptr;  // [S, H]; null: none.
  const float* segments = nullptr;   // [segments, H]; null: none.
};
Status EmbeddingForwardGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                           const Batch& batch, const EmbeddingTables& tables, GpuValues y);

// The gradients of the three tables from dy: [micro_batch, S, H]. Equal tokens are added up 32 by
// 32 in the order of samples and positions, and these sums in theirs. What does not accumulate is
// overwritten.
Status EmbeddingBackwardWordsGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                                 const Batch& batch, ConstGpuValues dy, const GradientSum& dwords,
                                 std::byte* scratch);
// The first S rows only.
Status EmbeddingBackwardPositionsGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                                     const Batch& batch, ConstGpuValues dy,
                                     const GradientSum& dpositions);
Status EmbeddingBackwardSegmentsGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                                    const Batch& batch, ConstGpuValues dy,
                                    const GradientSum& dsegments, std::byte* scratch);
size_t EmbeddingWordsScratchBytes(const EmbeddingShapeGpu& shape);
size_t EmbeddingSegmentsScratchBytes(const EmbeddingShapeGpu& shape);

}  // namespace drover

#endif  // DROVER_WORKER_NN_EMBEDDING_GPU_H_
