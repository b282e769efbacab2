#include "worker/nn/presets.h"

#include <fmt/format.h>

namespace drover {

NetworkSpec MlpNetwork(const Dims& input, const std::vector<int64_t>& hidden, int64_t classes) {
  NetworkSpec network;
  network.input = input;
  network.layers.push_back({.name = "", .kind = FlattenSpec{}});
  for (size_t i = 0; i < hidden.size(); ++i) {
    network.layers.push_back({.name = fmt::format("dense{}", i),
                              .kind = DenseSpec{.size = hidden[i], .weight_init = {}}});
    network.layers.push_back({.name = "", .kind = ReluSpec{}});
  }
  network.layers.push_back(
      {.name = fmt::format("dense{}", hidden.size()),
       .kind = DenseSpec{.size = classes, .weight_init = {WeightInit::Kind::kLecun}}});
  network.head.kind = SoftmaxCrossEntropySpec{.classes = classes};
  return network;
}

}  // namespace drover
