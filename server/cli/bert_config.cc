#include "server/cli/bert_config.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

namespace drover {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

// Extent `axis` of a matrix, 0 when there is none of this name.
int64_t Extent(const Shapes& shapes, const std::string& name, size_t axis) {
  const auto found = shapes.find(name);
  return found == shapes.end() || found->second.size() != 2 ? 0 : found->second[axis];
}

}  // namespace

std::optional<BertConfig> BertConfigOf(const std::vector<TensorSpec>& tensors) {
  Shapes shapes;
  for (const TensorSpec& tensor : tensors) shapes[tensor.name] = tensor.shape;
  BertConfig config;
  config.vocabulary = Extent(shapes, "bert.embeddings.word_embeddings.weight", 0);
  config.hidden = Extent(shapes, "bert.embeddings.word_embeddings.weight", 1);
  config.positions = Extent(shapes, "bert.embeddings.position_embeddings.weight", 0);
  config.segments = Extent(shapes, "bert.embeddings.token_type_embeddings.weight", 0);
  config.intermediate = Extent(shapes, "bert.encoder.layer.0.intermediate.dense.weight", 0);
  while (shapes.contains(
      fmt::format("bert.encoder.layer.{}.output.LayerNorm.weight", config.layers))) {
    ++config.layers;
  }
  const bool whole = config.vocabulary > 0 && config.positions > 0 && config.segments > 0 &&
                     config.intermediate > 0 && config.layers > 0 &&
                     shapes.contains("cls.predictions.bias") &&
                     shapes.contains("cls.seq_relationship.weight");
  if (!whole) return std::nullopt;
  return config;
}

int64_t CustomaryHeads(const BertConfig& config) {
  return config.hidden % 64 == 0 ? config.hidden / 64 : 0;
}

std::string RenderBertConfig(const BertConfig& config, int64_t heads, double dropout) {
  const nlohmann::json json = {
      {"architectures", {"BertForPreTraining"}},
      {"model_type", "bert"},
      {"vocab_size", config.vocabulary},
      {"hidden_size", config.hidden},
      {"num_hidden_layers", config.layers},
      {"num_attention_heads", heads},
      {"intermediate_size", config.intermediate},
      {"hidden_act", "gelu"},
      {"hidden_dropout_prob", dropout},
      {"attention_probs_dropout_prob", dropout},
      {"max_position_embeddings", config.positions},
      {"type_vocab_size", config.segments},
      {"initializer_range", 0.02},
      {"layer_norm_eps", 1e-12},
      {"pad_token_id", 0},
      {"position_embedding_type", "absolute"},
      {"tie_word_embeddings", true},
  };
  return json.dump(2) + "\n";
}

}  // namespace drover
