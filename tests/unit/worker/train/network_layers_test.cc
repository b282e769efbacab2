#include "worker/train/network_layers.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/worker/nn/mlp_fixture.h"
#include "worker/train/network_proto.h"

namespace drover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const SampleShape kImage = {.extents = {28, 28, 1}, .classes = 10};
const SampleShape kText = {.extents = {8}, .classes = 2, .vocabulary = 30, .predictions = 2};

Result<NetworkSpec> Read(const std::string& model, const SampleShape& sample) {
  v1::ModelSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(model, &spec));
  return NetworkOf(spec, sample);
}

std::unique_ptr<Model> Make(const std::string& model, const SampleShape& sample) {
  const Result<NetworkSpec> network = Read(model, sample);
  EXPECT_TRUE(network.ok()) << network.status().message();
  return MakeModel(network.value(), /*micro_batch=*/4);
}

std::vector<std::string> TensorNames(const Model& model) {
  std::vector<std::string> names;
  for (const TensorSpec& tensor : model.tensors()) names.push_back(tensor.name);
  return names;
}

std::vector<float> GradientOf(Model* model, const Batch& batch) {
  const std::vector<float> weights = InitialWeights(model->layout(), 3);
  std::vector<float> gradient = ParameterSpace(model->layout(), 0.0f);
  EXPECT_TRUE(model->ForwardBackward(batch, weights.data(), {.base = gradient.data()}).ok());
  return gradient;
}

TEST(NetworkLayersTest, DenseAndReluAreTheMlp) {
  const std::unique_ptr<Model> layers = Make(R"(
    layers { name: "dense0" dense { size: 9 init: INIT_HE } } layers { relu {} }
    layers { name: "dense1" dense { size: 10 init: INIT_LECUN } }
    loss: LOSS_SOFTMAX_CROSS_ENTROPY)",
                                             kImage);
  const std::unique_ptr<Model> mlp = Make("mlp { hidden: 9 }", kImage);
  const OwnedBatch batch = MakeBatch(4, 784, 10, 5);

  EXPECT_EQ(layers->tensors(), mlp->tensors());
  EXPECT_EQ(GradientOf(layers.get(), batch.view()), GradientOf(mlp.get(), batch.view()));
}

TEST(NetworkLayersTest, EveryKindOfAnImageIsBuiltAndComputes) {
  const std::unique_ptr<Model> model = Make(R"(
    layers { name: "c" convolution { filters: 4 kernel: 3 stride: 2 padding: PADDING_SAME
                                     init: INIT_GLOROT } }
    layers { max_pooling { size: 2 stride: 2 padding: PADDING_VALID } }
    layers { residual { layers { name: "n" layer_norm { epsilon: 1e-5 } } layers { gelu {} }
                        layers { name: "inner" dense { size: 4 init: INIT_NORMAL deviation: 0.1 } } } }
    layers { name: "r" recurrent { cell: CELL_GRU size: 6 bidirectional: true
                                   output: OUTPUT_SEQUENCE } }
    layers { name: "a" attention { heads: 3 init: INIT_NORMAL deviation: 0.02 } }
    layers { tanh {} } layers { flatten {} } layers { name: "d" dropout { probability: 0.5 } }
    layers { name: "out" dense { size: 10 init: INIT_LECUN } } layers { sigmoid {} }
    loss: LOSS_MEAN_SQUARED_ERROR)",
                                            kImage);

  const std::vector<std::string> names = TensorNames(*model);
  EXPECT_EQ(names.front(), "c.weight");
  EXPECT_THAT(names,
              testing::IsSupersetOf({"n.weight", "inner.bias", "r.weight_ih_l0",
                                     "r.weight_hh_l0_reverse", "a.self.query.weight", "out.bias"}));
  // The residual's dense layer is over channels; the one behind takes 7 steps of 12 values.
  for (const TensorSpec& tensor : model->tensors()) {
    if (tensor.name == "inner.weight") {
      EXPECT_THAT(tensor.shape, ElementsAre(4, 4));
    } else if (tensor.name == "out.weight") {
      EXPECT_THAT(tensor.shape, ElementsAre(10, 84));
    }
  }
  const std::vector<float> weights = InitialWeights(model->layout(), 3);
  const OwnedBatch batch = MakeBatch(3, 784, 10, 5);
  const BatchResult result = model->Evaluate(batch.view(), weights.data()).value();
  EXPECT_GT(result.loss_sum, 0.0);
  EXPECT_EQ(result.samples, 3);
}

TEST(NetworkLayersTest, EveryCellAndOutputIsRead) {
  for (const char* cell : {"RNN", "GRU", "LSTM"}) {
    const std::unique_ptr<Model> model = Make(
        std::string("layers { name: 'r' recurrent { output: OUTPUT_LAST size: 10 cell: CELL_") +
            cell + " } } loss: LOSS_SOFTMAX_CROSS_ENTROPY",
        kImage);
    const int64_t gates = cell[0] == 'R' ? 1 : cell[0] == 'G' ? 3 : 4;
    EXPECT_THAT(model->tensors()[0].shape, ElementsAre(gates * 10, 28)) << cell;
  }
}

const std::string kEmbedding =
    "layers { name: 'words' embedding { size: 6 positions: 8 segments: 2 vocabulary_multiple: 8 "
    "deviation: 0.02 } } ";

TEST(NetworkLayersTest, ATextIsClassified) {
  const std::unique_ptr<Model> model =
      Make(kEmbedding +
               "layers { name: 'r' recurrent { cell: CELL_LSTM size: 3 "
               "output: OUTPUT_LAST } } layers { name: 'd' dense { size: 2 "
               "init: INIT_LECUN } } loss: LOSS_SOFTMAX_CROSS_ENTROPY",
           kText);

  EXPECT_THAT(model->tensors()[0].shape, ElementsAre(32, 6));  // 30 tokens, in eights.
}

TEST(NetworkLayersTest, MaskedTokensShareTheEmbedding) {
  const std::unique_ptr<Model> model =
      Make(kEmbedding +
               "layers { name: 'a' attention { heads: 2 init: INIT_NORMAL deviation: 0.02 } } "
               "loss: LOSS_BERT_PRETRAINING",
           kText);

  const std::vector<std::string> names = TensorNames(*model);
  EXPECT_EQ(std::count(names.begin(), names.end(), "words.word_embeddings.weight"), 1);
  EXPECT_THAT(names, testing::Contains("cls.predictions.bias"));
}

TEST(NetworkLayersTest, RefusesWhatItDoesNotKnow) {
  const auto refusal = [](const std::string& model, const SampleShape& sample) {
    return std::string(Read(model, sample).status().message());
  };
  const std::string newer = ": not one that this worker knows; run the same release everywhere";
  EXPECT_EQ(refusal("layers { relu {} } layers {}", kImage), "model.layers: layer 2: kind" + newer);
  EXPECT_EQ(refusal("layers { residual { layers { dense { size: 3 } } } }", kImage),
            "model.layers: layer 1: layer 1: init" + newer);
  EXPECT_EQ(refusal("layers { attention {} }", kImage), "model.layers: layer 1: init" + newer);
  EXPECT_EQ(refusal("layers { convolution { init: INIT_HE } }", kImage),
            "model.layers: layer 1: padding" + newer);
  EXPECT_EQ(refusal("layers { convolution {} }", kImage), "model.layers: layer 1: init" + newer);
  EXPECT_EQ(refusal("layers { max_pooling {} }", kImage), "model.layers: layer 1: padding" + newer);
  EXPECT_EQ(refusal("layers { recurrent { output: OUTPUT_LAST } }", kImage),
            "model.layers: layer 1: cell" + newer);
  EXPECT_EQ(refusal("layers { recurrent { cell: CELL_RNN } }", kImage),
            "model.layers: layer 1: output" + newer);
  EXPECT_EQ(refusal("layers { relu {} }", kImage), "model.loss" + newer);
  EXPECT_THAT(refusal("layers { relu {} } loss: LOSS_BERT_PRETRAINING", kImage),
              HasSubstr("model.loss: bert_pretraining needs a dataset of text and an embedding"));
}

}  // namespace
}  // namespace drover
