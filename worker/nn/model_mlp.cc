// Multi-layer perceptron: dense0, ReLU, dense1, ReLU, ..., dense<n> to the logits.

#include <fmt/format.h>

#include "worker/nn/linear.h"
#include "worker/nn/model_zoo.h"
#include "worker/nn/relu.h"

namespace drover {

Layers MakeMlpLayers(const ModelSpec& spec, int64_t micro_batch) {
  Layers layers;
  int64_t width = spec.input_size;
  for (size_t i = 0; i < spec.hidden.size(); ++i) {
    layers.push_back(std::make_unique<Linear>(fmt::format("dense{}", i),
                                              LinearShape{micro_batch, width, spec.hidden[i]},
                                              /*gain_squared=*/2.0));
    layers.push_back(std::make_unique<Relu>(micro_batch, spec.hidden[i]));
    width = spec.hidden[i];
  }
  layers.push_back(std::make_unique<Linear>(fmt::format("dense{}", spec.hidden.size()),
                                            LinearShape{micro_batch, width, spec.classes},
                                            /*gain_squared=*/1.0));
  return layers;
}

}  // namespace drover
