#include "worker/nn/presets.h"

#include <fmt/format.h>

#include <string>

namespace drover {
namespace {

constexpr int64_t kCnnKernel = 5;
constexpr int64_t kCnnFilters[] = {32, 64};
constexpr int64_t kCnnHidden = 1024;
constexpr double kCnnDropout = 0.2;
constexpr int64_t kRecurrentUnits = 128;
constexpr double kTableDeviation = 1.0;

// `kind` is how the layer begins by default.
WeightInit InitOf(PresetInit init, WeightInit::Kind kind) {
  if (init == PresetInit::kTable) return {WeightInit::Kind::kNormal, kTableDeviation};
  return {.kind = kind};
}

double BiasDeviation(PresetInit init) { return init == PresetInit::kTable ? kTableDeviation : 0.0; }

LayerSpec Dense(const std::string& name, int64_t size, WeightInit::Kind kind, PresetInit init) {
  return {
      .name = name,
      .kind = DenseSpec{
          .size = size, .weight_init = InitOf(init, kind), .bias_deviation = BiasDeviation(init)}};
}

void AddLogits(const std::string& name, int64_t classes, PresetInit init, NetworkSpec* network) {
  network->layers.push_back(Dense(name, classes, WeightInit::Kind::kLecun, init));
  network->head.kind = SoftmaxCrossEntropySpec{.classes = classes};
}

}  // namespace

NetworkSpec MlpNetwork(const Dims& input, const std::vector<int64_t>& hidden, int64_t classes,
                       PresetInit init) {
  NetworkSpec network;
  network.input = input;
  network.layers.push_back({.name = "", .kind = FlattenSpec{}});
  for (size_t i = 0; i < hidden.size(); ++i) {
    network.layers.push_back(
        Dense(fmt::format("dense{}", i), hidden[i], WeightInit::Kind::kHe, init));
    network.layers.push_back({.name = "", .kind = ReluSpec{}});
  }
  AddLogits(fmt::format("dense{}", hidden.size()), classes, init, &network);
  return network;
}

NetworkSpec CnnNetwork(const Dims& input, int64_t classes, PresetInit init) {
  NetworkSpec network;
  network.input = input;
  for (const int64_t filters : kCnnFilters) {
    network.layers.push_back(
        {.name = fmt::format("conv{}", network.layers.size() / 3),
         .kind = ConvolutionSpec{.filters = filters,
                                 .kernel = kCnnKernel,
                                 .weight_init = InitOf(init, WeightInit::Kind::kHe),
                                 .bias_deviation = BiasDeviation(init)}});
    network.layers.push_back({.name = "", .kind = MaxPoolingSpec{}});
    network.layers.push_back({.name = "", .kind = ReluSpec{}});
  }
  network.layers.push_back({.name = "", .kind = FlattenSpec{}});
  network.layers.push_back(Dense("dense0", kCnnHidden, WeightInit::Kind::kHe, init));
  network.layers.push_back({.name = "", .kind = ReluSpec{}});
  network.layers.push_back({.name = "dropout0",
                            .kind = DropoutSpec{.probability = kCnnDropout,
                                                .at_evaluation = init == PresetInit::kTable}});
  AddLogits("dense1", classes, init, &network);
  return network;
}

NetworkSpec BiRecurrentNetwork(const Dims& input, RecurrentSpec::Cell cell, int64_t classes,
                               PresetInit init) {
  NetworkSpec network;
  network.input = input;
  network.layers.push_back(
      {.name = "rnn",
       .kind = RecurrentSpec{
           .cell = cell, .size = kRecurrentUnits, .bidirectional = true, .last_only = true}});
  AddLogits("dense0", classes, init, &network);
  return network;
}

}  // namespace drover
