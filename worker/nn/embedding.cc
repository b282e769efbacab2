#include "worker/nn/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

constexpr int64_t kVocabularyMax = int64_t{1} << 24;
constexpr int64_t kEmbeddingSizeMax = int64_t{1} << 16;
constexpr int64_t kPositionsMax = int64_t{1} << 20;
constexpr int64_t kSegmentsMax = 1024;

int64_t LengthOf(const Batch& batch, int64_t sample, int64_t length_max) {
  return batch.lengths == nullptr ? length_max : batch.lengths[sample];
}

}  // namespace

Embedding::Embedding(std::string name, const EmbeddingSpec& spec, const Dims& input,
                     const LayerSetting& setting)
    : name_(std::move(name)),
      spec_(spec),
      micro_batch_(setting.micro_batch),
      length_(input[0]),
      output_({input[0], spec.size}) {}

std::string WordEmbeddingName(const std::string& name) { return name + ".word_embeddings.weight"; }

TensorSpec WordEmbeddingTensor(const std::string& name, const EmbeddingSpec& spec) {
  return {.name = WordEmbeddingName(name),
          .shape = {spec.vocabulary, spec.size},
          .init = {.kind = InitRule::Kind::kNormal, .value = static_cast<float>(spec.deviation)}};
}

std::vector<TensorSpec> Embedding::tensors() const {
  TensorSpec tensor = WordEmbeddingTensor(name_, spec_);
  std::vector<TensorSpec> tensors = {tensor};
  if (spec_.positions > 0) {
    tensor.name = name_ + ".position_embeddings.weight";
    tensor.shape[0] = spec_.positions;
    tensors.push_back(tensor);
  }
  if (spec_.segments > 0) {
    tensor.name = name_ + ".token_type_embeddings.weight";
    tensor.shape[0] = spec_.segments;
    tensors.push_back(tensor);
  }
  return tensors;
}

Status CheckTokens(const EmbeddingSpec& spec, const std::string& name, const Batch& batch,
                   int64_t length_max) {
  const auto refuse = [&name](int64_t sample, const std::string& what) {
    return Status(Code::kInvalidArgument, fmt::format("{}: sample {}: {}", name, sample, what));
  };
  if (batch.tokens == nullptr) {
    return Status(Code::kInvalidArgument,
                  name + ": the dataset has no tokens; an embedding reads text");
  }
  for (int64_t sample = 0; sample < batch.samples; ++sample) {
    const int64_t length = LengthOf(batch, sample, length_max);
    if (length < 1 || length > length_max) {
      return refuse(sample, fmt::format("length {}, expected 1 to {}", length, length_max));
    }
    for (int64_t i = 0; i < length; ++i) {
      const int32_t token = batch.tokens[sample * length_max + i];
      if (token < 0 || token >= spec.vocabulary) {
        return refuse(sample, fmt::format("token {} at position {}, expected 0 to {}: was the text "
                                          "made with the vocabulary of this model?",
                                          token, i, spec.vocabulary - 1));
      }
      if (spec.segments == 0 || batch.segments == nullptr) continue;
      const int32_t segment = batch.segments[sample * length_max + i];
      if (segment < 0 || segment >= spec.segments) {
        return refuse(sample, fmt::format("segment {} at position {}, expected 0 to {}", segment, i,
                                          spec.segments - 1));
      }
    }
  }
  return Status();
}

Status Embedding::Forward(const ForwardPass& pass) {
  DROVER_RETURN_IF_ERROR(CheckTokens(spec_, name_, *pass.batch, length_));
  const Batch& batch = *pass.batch;
  const size_t segment_tensor = spec_.positions > 0 ? 2 : 1;
  const int64_t size = spec_.size;
  for (int64_t sample = 0; sample < micro_batch_; ++sample) {
    const int64_t length = LengthOf(batch, sample, length_);
    float* out = pass.output + sample * length_ * size;
    for (int64_t i = 0; i < length; ++i, out += size) {
      const int64_t at = sample * length_ + i;
      std::copy_n(pass.weights[0] + batch.tokens[at] * size, size, out);
      if (spec_.positions > 0) AddRowCpu(pass.weights[1] + i * size, size, out);
      if (spec_.segments == 0) continue;
      const int64_t segment = batch.segments == nullptr ? 0 : batch.segments[at];
      AddRowCpu(pass.weights[segment_tensor] + segment * size, size, out);
    }
    std::fill_n(out, (length_ - length) * size, 0.0f);
  }
  return Status();
}

Status Embedding::Backward(const BackwardPass& pass) {
  const Batch& batch = *pass.batch;
  const size_t segment_tensor = spec_.positions > 0 ? 2 : 1;
  const int64_t size = spec_.size;
  const std::vector<TensorSpec> shapes = tensors();
  for (size_t t = 0; t < shapes.size(); ++t) {
    if (pass.weight_gradients[t].accumulate) continue;
    std::fill_n(pass.weight_gradients[t].values, shapes[t].shape[0] * size, 0.0f);
  }
  for (int64_t sample = 0; sample < batch.samples; ++sample) {
    const int64_t length = LengthOf(batch, sample, length_);
    for (int64_t i = 0; i < length; ++i) {
      const int64_t at = sample * length_ + i;
      const float* gradient = pass.output_gradient + at * size;
      AddRowCpu(gradient, size, pass.weight_gradients[0].values + batch.tokens[at] * size);
      if (spec_.positions > 0) {
        AddRowCpu(gradient, size, pass.weight_gradients[1].values + i * size);
      }
      if (spec_.segments == 0) continue;
      const int64_t segment = batch.segments == nullptr ? 0 : batch.segments[at];
      AddRowCpu(gradient, size, pass.weight_gradients[segment_tensor].values + segment * size);
    }
  }
  DROVER_CHECK(pass.input_gradient == nullptr);  // Tokens have none.
  return Status();
}

Result<std::unique_ptr<Layer>> MakeEmbedding(const std::string& name, const EmbeddingSpec& spec,
                                             const Dims& input, const LayerSetting& setting) {
  const auto refuse = [&name](const std::string& what) {
    return Status(Code::kInvalidArgument, fmt::format("{} (embedding): {}", name, what));
  };
  if (spec.vocabulary < 1 || spec.vocabulary > kVocabularyMax) {
    return refuse(fmt::format("a vocabulary of {} tokens, expected 1 to {}: is the dataset text?",
                              spec.vocabulary, kVocabularyMax));
  }
  if (spec.size < 1 || spec.size > kEmbeddingSizeMax) {
    return refuse(fmt::format("size={}, expected 1 to {}", spec.size, kEmbeddingSizeMax));
  }
  if (spec.segments < 0 || spec.segments > kSegmentsMax) {
    return refuse(fmt::format("segments={}, expected 0 to {}", spec.segments, kSegmentsMax));
  }
  if (input.size() != 1) {
    return refuse(
        fmt::format("its input is {}, expected a row of tokens; it must be the first "
                    "layer",
                    DimsText(input)));
  }
  if (spec.positions < 0 || spec.positions > kPositionsMax ||
      (spec.positions > 0 && spec.positions < input[0])) {
    return refuse(fmt::format("positions={}, expected 0 (none) or {} (the sequence length) to {}",
                              spec.positions, input[0], kPositionsMax));
  }
  return std::unique_ptr<Layer>(std::make_unique<Embedding>(name, spec, input, setting));
}

}  // namespace drover
