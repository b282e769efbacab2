// The presets for images: tensors, as PyTorch's modules of the same sizes have them, and how they
// begin.

#include "worker/nn/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/worker/nn/mlp_fixture.h"

namespace drover {
namespace {

using Cell = RecurrentSpec::Cell;

const Dims kImage = {28, 28, 1};

std::vector<std::pair<std::string, std::vector<int64_t>>> Tensors(const NetworkSpec& network) {
  const std::unique_ptr<Model> model = MakeModel(network, 1);
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors;
  for (const TensorSpec& tensor : model->tensors()) {
    tensors.emplace_back(tensor.name,
                         std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end()));
  }
  return tensors;
}

int64_t Parameters(const NetworkSpec& network) {
  int64_t parameters = 0;
  for (const auto& [name, shape] : Tensors(network)) {
    int64_t elements = 1;
    for (const int64_t extent : shape) elements *= extent;
    parameters += elements;
  }
  return parameters;
}

TEST(PresetsTest, CnnHasTheTensorsOfTheTable) {
  const NetworkSpec network = CnnNetwork(kImage, 10, PresetInit::kDefault);

  EXPECT_THAT(
      Tensors(network),
      testing::ElementsAre(testing::Pair("conv0.weight", std::vector<int64_t>{32, 1, 5, 5}),
                           testing::Pair("conv0.bias", std::vector<int64_t>{32}),
                           testing::Pair("conv1.weight", std::vector<int64_t>{64, 32, 5, 5}),
                           testing::Pair("conv1.bias", std::vector<int64_t>{64}),
                           testing::Pair("dense0.weight", std::vector<int64_t>{1024, 3136}),
                           testing::Pair("dense0.bias", std::vector<int64_t>{1024}),
                           testing::Pair("dense1.weight", std::vector<int64_t>{10, 1024}),
                           testing::Pair("dense1.bias", std::vector<int64_t>{10})));
  EXPECT_EQ(Parameters(network), 3274634);
}

// The numbers of torch.nn.RNN, GRU and LSTM(28, 128, bidirectional=True) and Linear(256, 10).
TEST(PresetsTest, RecurrentNetworksHaveAsManyParametersAsPyTorchs) {
  EXPECT_EQ(Parameters(BiRecurrentNetwork(kImage, Cell::kRnn, 10, PresetInit::kDefault)), 43018);
  EXPECT_EQ(Parameters(BiRecurrentNetwork(kImage, Cell::kGru, 10, PresetInit::kDefault)), 123914);
  EXPECT_EQ(Parameters(BiRecurrentNetwork(kImage, Cell::kLstm, 10, PresetInit::kDefault)), 164362);
}

// Deviation of what a tensor begins with; its mean is 0.
double Deviation(const Model& model, const std::string& name) {
  const std::vector<float> weights = InitialWeights(model.layout(), 1);
  for (size_t t = 0; t < model.tensors().size(); ++t) {
    if (model.tensors()[t].name != name) continue;
    double squares = 0;
    const uint64_t size = model.layout().tensor_size(t);
    for (uint64_t i = 0; i < size; ++i) {
      const double value = weights[model.layout().tensor_offset(t) + i];
      squares += value * value;
    }
    return std::sqrt(squares / static_cast<double>(size));
  }
  ADD_FAILURE() << "no tensor " << name;
  return 0;
}

TEST(PresetsTest, TheTablesInitialisationIsNormalWithDeviationOne) {
  const std::unique_ptr<Model> cnn = MakeModel(CnnNetwork(kImage, 10, PresetInit::kTable), 1);
  const std::unique_ptr<Model> mlp =
      MakeModel(MlpNetwork(kImage, {256}, 10, PresetInit::kTable), 1);
  const std::unique_ptr<Model> lstm =
      MakeModel(BiRecurrentNetwork(kImage, Cell::kLstm, 10, PresetInit::kTable), 1);

  EXPECT_NEAR(Deviation(*cnn, "conv1.weight"), 1.0, 0.02);
  EXPECT_NEAR(Deviation(*cnn, "dense0.bias"), 1.0, 0.1);
  EXPECT_NEAR(Deviation(*mlp, "dense0.weight"), 1.0, 0.02);
  EXPECT_NEAR(Deviation(*lstm, "dense0.weight"), 1.0, 0.1);
  // The cells are the same in both: Glorot-uniform over [28 + 128, 512].
  EXPECT_NEAR(Deviation(*lstm, "rnn.weight_hh_l0"), std::sqrt(2.0 / (28 + 128 + 512)), 0.001);
}

// The table's dropout acts when the network is evaluated, ours does not.
TEST(PresetsTest, OnlyTheTablesCnnDropsOutInEvaluations) {
  const OwnedBatch batch = MakeBatch(4, 784, 10, /*seed=*/5);
  for (const PresetInit init : {PresetInit::kDefault, PresetInit::kTable}) {
    const std::unique_ptr<Model> model = MakeModel(CnnNetwork(kImage, 10, init), 4);
    const std::vector<float> weights = InitialWeights(model->layout(), 1);
    std::vector<float> gradient = ParameterSpace(model->layout(), 0.0f);

    const double trained =
        model->ForwardBackward(batch.view(), weights.data(), {gradient.data(), true, {}})
            .value()
            .loss_sum;
    const double evaluated = model->Evaluate(batch.view(), weights.data()).value().loss_sum;

    EXPECT_EQ(trained == evaluated, init == PresetInit::kTable);
  }
}

}  // namespace
}  // namespace drover
