// model.layers in a JobSpec: defaults, and what is refused by which name.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "server/spec.h"

namespace drover {
namespace {

using testing::HasSubstr;

v1::JobSpec SpecOf(const std::string& model, const std::string& dataset) {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "name: 'a' batch: 64 steps: 10 optimizer { sgd {} } schedule { peak: 0.1 } dataset { " +
          dataset + " } model { " + model + " }",
      &spec));
  return spec;
}

std::string RefusalOf(const v1::JobSpec& spec) { return PlanJob(spec).status().message(); }

std::string Refusal(const std::string& model) {
  return RefusalOf(SpecOf(model, "synthetic_digits {}"));
}

std::string TextRefusal(const std::string& model) {
  return RefusalOf(SpecOf(model, "text { path: '/a' sequence_length: 16 }"));
}

v1::ModelSpec WithDefaultsOf(const std::string& model, const std::string& dataset) {
  const v1::JobSpec spec = SpecOf(model, dataset);
  const Result<JobPlan> plan = PlanJob(spec);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  const v1::JobSpec full = WithDefaults(spec, plan.value());
  // Nothing is left to fill in.
  EXPECT_EQ(WithDefaults(full, PlanJob(full).value()).SerializeAsString(),
            full.SerializeAsString());
  return full.model();
}

TEST(SpecLayersTest, NamesLayersByKindAndNumber) {
  const v1::ModelSpec model = WithDefaultsOf(R"(
    layers { dense { size: 8 } } layers { relu {} }
    layers { residual { layers { layer_norm {} } layers { name: "mine" dense { size: 8 } }
                        layers { dropout {} } } }
    layers { dense { size: 10 } })",
                                             "synthetic_digits {}");

  EXPECT_EQ(model.layers(0).name(), "dense0");
  EXPECT_EQ(model.layers(1).name(), "");
  EXPECT_EQ(model.layers(2).name(), "");
  EXPECT_EQ(model.layers(2).residual().layers(0).name(), "layer_norm0");
  EXPECT_EQ(model.layers(2).residual().layers(1).name(), "mine");
  EXPECT_EQ(model.layers(2).residual().layers(2).name(), "dropout0");
  EXPECT_EQ(model.layers(3).name(), "dense2");
}

TEST(SpecLayersTest, WritesEveryDefaultOut) {
  const v1::ModelSpec model = WithDefaultsOf(R"(
    layers { convolution { filters: 4 } } layers { max_pooling { size: 3 } }
    layers { recurrent { cell: CELL_GRU size: 5 output: OUTPUT_SEQUENCE } }
    layers { attention {} } layers { layer_norm {} } layers { dropout {} }
    layers { recurrent { cell: CELL_RNN size: 6 } }
    layers { dense { size: 8 init: INIT_NORMAL } } layers { dense { size: 10 } })",
                                             "synthetic_digits {}");

  EXPECT_EQ(model.loss(), v1::ModelSpec::LOSS_SOFTMAX_CROSS_ENTROPY);
  const v1::Layer::Convolution& convolution = model.layers(0).convolution();
  EXPECT_EQ(convolution.kernel(), 3);
  EXPECT_EQ(convolution.stride(), 1);
  EXPECT_EQ(convolution.padding(), v1::Layer::PADDING_SAME);
  EXPECT_EQ(convolution.init(), v1::Layer::INIT_HE);
  EXPECT_EQ(model.layers(1).max_pooling().stride(), 3);
  EXPECT_EQ(model.layers(1).max_pooling().padding(), v1::Layer::PADDING_SAME);
  EXPECT_EQ(model.layers(3).attention().heads(), 1);
  EXPECT_EQ(model.layers(3).attention().init(), v1::Layer::INIT_NORMAL);
  EXPECT_EQ(model.layers(3).attention().deviation(), 0.02);
  EXPECT_EQ(model.layers(4).layer_norm().epsilon(), 1e-5);
  EXPECT_EQ(model.layers(5).dropout().probability(), 0.5);
  EXPECT_EQ(model.layers(6).recurrent().output(), v1::Layer::Recurrent::OUTPUT_LAST);
  EXPECT_EQ(model.layers(7).dense().deviation(), 0.02);
  EXPECT_EQ(model.layers(8).dense().init(), v1::Layer::INIT_LECUN);
}

TEST(SpecLayersTest, AnEmbeddingFollowsTheText) {
  const std::string layers = "layers { embedding { size: 4 } } loss: LOSS_BERT_PRETRAINING";
  const v1::Layer::Embedding embedding =
      WithDefaultsOf(layers, "text { path: '/a' sequence_length: 16 }").layers(0).embedding();
  EXPECT_EQ(embedding.positions(), 16);
  EXPECT_EQ(embedding.segments(), 2);
  EXPECT_EQ(embedding.vocabulary_multiple(), 1);
  EXPECT_EQ(embedding.deviation(), 0.02);

  EXPECT_EQ(WithDefaultsOf(layers, "text { path: '/a' }").layers(0).embedding().positions(), 128);
}

TEST(SpecLayersTest, EverySettingOutOfRangeIsNamed) {
  EXPECT_EQ(Refusal(R"(
    layers {} layers { dense {} } layers { dense { size: 65537 deviation: 1 } }
    layers { dense { size: 8 init: INIT_NORMAL deviation: -1 } }
    layers { dropout { probability: 1 } } layers { layer_norm { epsilon: 0 } }
    layers { attention { heads: -2 dropout: -0.5 } }
    layers { embedding { positions: -1 segments: 3 vocabulary_multiple: 2000 deviation: 11 } }
    layers { residual {} }
    layers { convolution { kernel: -3 stride: 1025 } }
    layers { max_pooling { size: 1025 stride: -1 } }
    layers { recurrent { size: 16385 } })"),
            "model.layers[0]: names no layer, expected one of dense, relu, sigmoid, tanh, gelu, "
            "flatten, dropout, layer_norm, residual, embedding, attention, convolution, "
            "max_pooling, recurrent\n"
            "model.layers[1].dense.size: is missing, expected 1 to 65536\n"
            "model.layers[2].dense.size: is 65537, expected 1 to 65536\n"
            "model.layers[2].dense.deviation: is 1, expected only with init: normal\n"
            "model.layers[3].dense.deviation: is -1, expected above 0 to 10\n"
            "model.layers[4].dropout.probability: is 1, expected 0 to below 1\n"
            "model.layers[5].layer_norm.epsilon: is 0, expected above 0 to 1\n"
            "model.layers[6].attention.heads: is -2, expected 1 to 1024\n"
            "model.layers[6].attention.dropout: is -0.5, expected 0 to below 1\n"
            "model.layers[7].embedding.size: is missing, expected 1 to 65536\n"
            "model.layers[7].embedding.positions: is -1, expected 0 to 4096\n"
            "model.layers[7].embedding.segments: is 3, expected 0 to 2\n"
            "model.layers[7].embedding.vocabulary_multiple: is 2000, expected 1 to 1024\n"
            "model.layers[7].embedding.deviation: is 11, expected above 0 to 10\n"
            "model.layers[8].residual.layers: is missing, expected at least one layer\n"
            "model.layers[9].convolution.filters: is missing, expected 1 to 65536\n"
            "model.layers[9].convolution.kernel: is -3, expected 1 to 1024\n"
            "model.layers[9].convolution.stride: is 1025, expected 1 to 1024\n"
            "model.layers[10].max_pooling.size: is 1025, expected 1 to 1024\n"
            "model.layers[10].max_pooling.stride: is -1, expected 1 to 1024\n"
            "model.layers[11].recurrent.size: is 16385, expected 1 to 16384\n"
            "model.layers[11].recurrent.cell: is missing, expected one of rnn, gru, lstm");
}

TEST(SpecLayersTest, NamesAreWordsAndUnique) {
  EXPECT_EQ(Refusal("layers { name: 'a b' dense { size: 8 } } "
                    "layers { name: 'dense2' dense { size: 8 } } layers { dense { size: 10 } }"),
            "model.layers[0].name: is \"a b\", expected [A-Za-z0-9_./-]{1,100}\n"
            "model.layers[2].name: is \"dense2\", as of model.layers[1]; expected a name of its "
            "own");
  EXPECT_THAT(Refusal("layers { name: '" + std::string(101, 'a') + "' dense { size: 10 } }"),
              HasSubstr("expected [A-Za-z0-9_./-]{1,100}"));
}

TEST(SpecLayersTest, NumberAndNestingOfLayersAreBounded) {
  std::string many;
  for (int i = 0; i < 501; ++i) many += "layers { relu {} } ";
  EXPECT_EQ(Refusal(many), "model.layers: has more than 500 layers, nested ones included");

  std::string deep = "layers { relu {} }";
  for (int i = 0; i < 9; ++i) deep = "layers { residual { " + deep + " } }";
  EXPECT_THAT(Refusal(deep), HasSubstr(".residual.layers: are inside of 9 residuals, expected at "
                                       "most 8"));
}

TEST(SpecLayersTest, AModelIsAKindOrLayers) {
  EXPECT_EQ(Refusal("mlp {} layers { relu {} }"),
            "model.layers: stands beside another model, expected one of them");
  EXPECT_EQ(Refusal("mlp {} loss: LOSS_MEAN_SQUARED_ERROR"),
            "model.loss: is set, expected only with model.layers");
}

struct BadShape {
  const char* what;
  std::string model;
  std::string violation;
};

class BadImageLayersTest : public testing::TestWithParam<BadShape> {};

TEST_P(BadImageLayersTest, NameTheFirstLayerThatDoesNotFit) {
  EXPECT_EQ(Refusal(GetParam().model), GetParam().violation);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadImageLayersTest,
    testing::Values(
        BadShape{"Classes", "layers { dense { size: 8 } }",
                 "model.layers: make 8 in the end, expected one value for each of the dataset's 10 "
                 "classes; the last layer may be dense: {size: 10}"},
        BadShape{"ImageInTheEnd", "layers { relu {} } loss: LOSS_MEAN_SQUARED_ERROR",
                 "model.layers: make 28x28x1 in the end, expected one value for each of the "
                 "dataset's 10 classes; the last layer may be dense: {size: 10}"},
        BadShape{"SequenceInTheEnd",
                 "layers { recurrent { cell: CELL_LSTM size: 4 bidirectional: true "
                 "output: OUTPUT_SEQUENCE } }",
                 "model.layers: make 28x8 in the end, expected one value for each of the dataset's "
                 "10 classes; the last layer may be dense: {size: 10}, after a flatten"},
        BadShape{
            "Residual",
            "layers { dense { size: 8 } } layers { residual { layers { dense { size: 9 } } } }",
            "model.layers[1].residual: makes 9 of 8, expected the same shape"},
        BadShape{"NestedLayer",
                 "layers { flatten {} } layers { residual { layers { attention {} } } }",
                 "model.layers[1].residual.layers[0].attention: is given 784, expected a sequence, "
                 "tokens x size"},
        BadShape{"Heads",
                 "layers { recurrent { cell: CELL_RNN size: 10 output: OUTPUT_SEQUENCE } } "
                 "layers { attention { heads: 4 } }",
                 "model.layers[1].attention.heads: is 4, expected a divisor of 10 values per "
                 "token"},
        BadShape{"ConvolutionOfARow", "layers { flatten {} } layers { convolution { filters: 2 } }",
                 "model.layers[1].convolution: is given 784, expected an image, height x width x "
                 "channels"},
        BadShape{"WindowsTooLarge",
                 "layers { convolution { filters: 2 kernel: 5 padding: PADDING_VALID } } "
                 "layers { max_pooling { size: 25 stride: 2 padding: PADDING_VALID } }",
                 "model.layers[1].max_pooling: has windows of 25, expected at most 24, or padding: "
                 "same"},
        BadShape{"Strides",
                 "layers { convolution { filters: 3 stride: 3 } } layers { max_pooling {} } "
                 "layers { convolution { filters: 2 kernel: 4 stride: 2 padding: PADDING_VALID } }",
                 "model.layers: make 1x1x2 in the end, expected one value for each of the "
                 "dataset's 10 classes; the last layer may be dense: {size: 10}"},
        BadShape{"RecurrentOfARow",
                 "layers { flatten {} } layers { recurrent { cell: CELL_RNN size: 4 } }",
                 "model.layers[1].recurrent: is given 784, expected a sequence, steps x size"},
        BadShape{"EmbeddingOfAnImage", "layers { embedding { size: 4 } }",
                 "model.layers[0]: is an embedding, expected only as the first layer on "
                 "dataset.text"},
        BadShape{"BertOfAnImage", "layers { dense { size: 10 } } loss: LOSS_BERT_PRETRAINING",
                 "model.loss: is bert_pretraining, which needs dataset.text; expected "
                 "softmax_cross_entropy or mean_squared_error"}),
    [](const auto& test) { return test.param.what; });

TEST(SpecLayersTest, ATextNeedsAnEmbeddingFirstAndOnlyThere) {
  EXPECT_EQ(TextRefusal("layers { dense { size: 2 } }"),
            "model.layers[0]: reads numbers, and the dataset gives tokens; expected an embedding");
  EXPECT_EQ(TextRefusal("layers { embedding { size: 4 } } layers { embedding { size: 4 } }"),
            "model.layers[1]: is an embedding, expected only as the first layer on dataset.text");
  EXPECT_EQ(TextRefusal("layers { embedding { size: 4 positions: 15 } }"),
            "model.layers[0].embedding.positions: is 15, expected 0 (none), or at least "
            "dataset.text.sequence_length (16)");
}

TEST(SpecLayersTest, ATextHasTwoClassesOrMaskedTokens) {
  EXPECT_EQ(TextRefusal("layers { embedding { size: 4 } } layers { flatten {} } "
                        "layers { dense { size: 2 } }"),
            "");
  EXPECT_EQ(TextRefusal("layers { embedding { size: 4 } } layers { dense { size: 2 } }"),
            "model.layers: make 16x2 in the end, expected one value for each of the dataset's 2 "
            "classes; the last layer may be dense: {size: 2}, after a flatten");
  EXPECT_EQ(TextRefusal("layers { embedding { size: 4 } } layers { flatten {} } "
                        "loss: LOSS_BERT_PRETRAINING"),
            "model.layers: make 64 in the end, and bert_pretraining reads a sequence, tokens x "
            "size");
}

// Sizes that only the files tell are the workers' business.
TEST(SpecLayersTest, TheExtentsOfFilesAreNotGuessed) {
  const std::string layers =
      "layers { convolution { filters: 2 kernel: 99 padding: PADDING_VALID } } "
      "layers { residual { layers { convolution { filters: 2 } } } } ";
  const auto refusal = [&layers](const std::string& size) {
    return RefusalOf(
        SpecOf(layers + "layers { dense { size: " + size + " } }", "idx { path: '/a' }"));
  };
  EXPECT_EQ(refusal("10"), "");
  EXPECT_THAT(refusal("9"), HasSubstr("model.layers: make 9 in the end"));
}

}  // namespace
}  // namespace drover
