#include "worker/nn/bert.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace drover {
namespace {

// Of Hugging Face's BertConfig.
constexpr double kInitialDeviation = 0.02;
constexpr int64_t kSegments = 2;

LayerSpec Dense(const std::string& name, int64_t size) {
  return {.name = name,
          .kind = DenseSpec{.size = size,
                            .weight_init = {WeightInit::Kind::kNormal, kInitialDeviation}}};
}

LayerSpec Norm(const std::string& name) { return {.name = name, .kind = LayerNormSpec{}}; }

void AddDropout(const std::string& name, double probability, std::vector<LayerSpec>* layers) {
  if (probability == 0.0) return;
  layers->push_back({.name = name, .kind = DropoutSpec{.probability = probability}});
}

// y = LayerNorm(x + layers(x)), twice: attention and feed-forward.
void AddEncoderLayer(const BertSizes& sizes, const std::string& name,
                     std::vector<LayerSpec>* layers) {
  ResidualSpec attention;
  attention.layers.push_back(
      {.name = name + ".attention",
       .kind = AttentionSpec{.heads = sizes.heads,
                             .dropout = sizes.dropout,
                             .weight_init = {WeightInit::Kind::kNormal, kInitialDeviation}}});
  AddDropout(name + ".attention.output.dropout", sizes.dropout, &attention.layers);
  layers->push_back({.name = "", .kind = attention});
  layers->push_back(Norm(name + ".attention.output.LayerNorm"));

  ResidualSpec feed_forward;
  feed_forward.layers.push_back(Dense(name + ".intermediate.dense", sizes.intermediate));
  feed_forward.layers.push_back({.name = "", .kind = GeluSpec{}});
  feed_forward.layers.push_back(Dense(name + ".output.dense", sizes.hidden));
  AddDropout(name + ".output.dropout", sizes.dropout, &feed_forward.layers);
  layers->push_back({.name = "", .kind = feed_forward});
  layers->push_back(Norm(name + ".output.LayerNorm"));
}

}  // namespace

NetworkSpec BertNetwork(const BertSizes& sizes, int64_t tokens, int64_t predictions) {
  const EmbeddingSpec words = {.vocabulary = sizes.vocabulary,
                               .size = sizes.hidden,
                               .positions = sizes.positions,
                               .segments = kSegments,
                               .deviation = kInitialDeviation};
  NetworkSpec network;
  network.input = {tokens};
  network.vocabulary = sizes.vocabulary;
  network.predictions = predictions;
  network.layers.push_back({.name = "bert.embeddings", .kind = words});
  network.layers.push_back(Norm("bert.embeddings.LayerNorm"));
  AddDropout("bert.embeddings.dropout", sizes.dropout, &network.layers);
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    AddEncoderLayer(sizes, fmt::format("bert.encoder.layer.{}", layer), &network.layers);
  }
  network.head.kind = BertPretrainingSpec{
      .embedding = "bert.embeddings", .words = words, .predictions = predictions};
  return network;
}

}  // namespace drover
