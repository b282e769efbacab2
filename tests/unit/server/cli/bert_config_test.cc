#include "server/cli/bert_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace drover {
namespace {

// As far as the sizes can be seen in it.
std::vector<TensorSpec> TwoLayers() {
  std::vector<TensorSpec> tensors;
  const auto add = [&tensors](const std::string& name, const std::vector<int64_t>& shape) {
    tensors.push_back({.name = name, .shape = shape, .init = {}});
  };
  add("bert.embeddings.word_embeddings.weight", {300, 128});
  add("bert.embeddings.position_embeddings.weight", {512, 128});
  add("bert.embeddings.token_type_embeddings.weight", {2, 128});
  for (const std::string layer : {"0", "1"}) {
    add("bert.encoder.layer." + layer + ".intermediate.dense.weight", {500, 128});
    add("bert.encoder.layer." + layer + ".output.LayerNorm.weight", {128});
  }
  add("cls.predictions.bias", {300});
  add("cls.seq_relationship.weight", {2, 128});
  return tensors;
}

TEST(BertConfigTest, SizesAreReadOffTheTensors) {
  const std::optional<BertConfig> config = BertConfigOf(TwoLayers());

  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(*config, (BertConfig{.layers = 2,
                                 .hidden = 128,
                                 .intermediate = 500,
                                 .positions = 512,
                                 .segments = 2,
                                 .vocabulary = 300}));
  EXPECT_EQ(CustomaryHeads(*config), 2);
}

TEST(BertConfigTest, OtherModelsHaveNone) {
  EXPECT_FALSE(BertConfigOf({}).has_value());
  for (size_t missing = 0; missing < TwoLayers().size(); ++missing) {
    std::vector<TensorSpec> tensors = TwoLayers();
    if (tensors[missing].name.find("layer.1") != std::string::npos) continue;  // One layer less.
    tensors.erase(tensors.begin() + static_cast<int64_t>(missing));
    EXPECT_FALSE(BertConfigOf(tensors).has_value()) << TwoLayers()[missing].name;
  }
}

TEST(BertConfigTest, NoCustomaryHeadsForAnOddSize) {
  EXPECT_EQ(CustomaryHeads({.hidden = 100}), 0);
}

// Keys of transformers' BertConfig.
TEST(BertConfigTest, IsWhatTransformersRead) {
  const std::string text = RenderBertConfig(*BertConfigOf(TwoLayers()), 4, 0.25);

  EXPECT_EQ(nlohmann::json::parse(text), nlohmann::json::parse(R"({
    "architectures": ["BertForPreTraining"], "model_type": "bert", "vocab_size": 300,
    "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 500, "hidden_act": "gelu", "hidden_dropout_prob": 0.25,
    "attention_probs_dropout_prob": 0.25, "max_position_embeddings": 512, "type_vocab_size": 2,
    "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    "position_embedding_type": "absolute", "tie_word_embeddings": true})"));
}

}  // namespace
}  // namespace drover
