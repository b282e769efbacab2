// The first layer of a network that reads tokens: a row of a table for each token, plus one for its
// position and one for its segment, as BERT has it (Devlin et al. 2018, arXiv:1810.04805). Not
// thread-safe; owned by one Model.
//
// S tokens per sample, H values per token, {S} to {S, H}:
//   "<name>.word_embeddings.weight" [vocabulary, H]
//   "<name>.position_embeddings.weight" [positions, H]     if positions > 0
//   "<name>.token_type_embeddings.weight" [segments, H]    if segments > 0
// Rows of padding, behind the length of a sample, are 0, whatever tokens stand there, and get no
// gradient.

#ifndef DROVER_WORKER_NN_EMBEDDING_H_
#define DROVER_WORKER_NN_EMBEDDING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

class Embedding : public Layer {
 public:
  // The layer's checks are MakeEmbedding's.
  Embedding(std::string name, const EmbeddingSpec& spec, const Dims& input,
            const LayerSetting& setting);

  std::vector<TensorSpec> tensors() const override;
  const Dims& output_dims() const override { return output_; }
  // Errors: CheckTokens.
  Status Forward(const ForwardPass& pass) override;
  // Adds sample by sample, token by token.
  Status Backward(const BackwardPass& pass) override;

 private:
  const std::string name_;
  const EmbeddingSpec spec_;
  const int64_t micro_batch_;
  const int64_t length_;  // S.
  const Dims output_;
};

// The name of the word table of the embedding `name`, for whoever shares it.
std::string WordEmbeddingName(const std::string& name);
TensorSpec WordEmbeddingTensor(const std::string& name, const EmbeddingSpec& spec);

// kInvalidArgument when a size is out of bounds, the input is not one row of tokens, or there are
// fewer positions than tokens.
Result<std::unique_ptr<Layer>> MakeEmbedding(const std::string& name, const EmbeddingSpec& spec,
                                             const Dims& input, const LayerSetting& setting);

// For the embedding `name` of samples of `length` tokens: kInvalidArgument names the first token,
// segment or length of batch.samples samples that is out of range. Arrays of the host.
Status CheckTokens(const EmbeddingSpec& spec, const std::string& name, const Batch& batch,
                   int64_t length);

// CPU (embedding_cpu.cc). to[i] += row[i] for `size` values.
void AddRowCpu(const float* row, int64_t size, float* to);

}  // namespace drover

#endif  // DROVER_WORKER_NN_EMBEDDING_H_
