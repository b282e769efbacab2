// Networks by name, as data. Functions only; thread-safe.

#ifndef DROVER_WORKER_NN_PRESETS_H_
#define DROVER_WORKER_NN_PRESETS_H_

#include <cstdint>
#include <vector>

#include "worker/nn/network_spec.h"

namespace drover {

// How weights begin.
enum class PresetInit {
  kDefault,  // By fan-in and fan-out, biases 0 but for recurrent gates.
  // As in the published table of LAMB on MNIST (github.com/ymcui/LAMB_Optimizer_TF): all weights
  // and biases of dense and convolution layers normal with deviation 1; dropout acts in evaluations
  // too.
  kTable,
};

// Multi-layer perceptron: dense0, ReLU, dense1, ReLU, ..., dense<n> to the logits. `hidden` may be
// empty: softmax regression.
NetworkSpec MlpNetwork(const Dims& input, const std::vector<int64_t>& hidden, int64_t classes,
                       PresetInit init = PresetInit::kDefault);

// Convolutional network for images {height, width, channels}: conv0 (32 filters of 5x5), max
// pooling 2x2, ReLU, conv1 (64), max pooling, ReLU, flatten, dense0 to 1,024, ReLU, dropout 0.2,
// dense1 to the logits. ReLU after the pooling is ReLU before it, on a quarter of the values.
NetworkSpec CnnNetwork(const Dims& input, int64_t classes, PresetInit init);

// Reads an image row by row in both directions: "rnn", 128 units of `cell` each, whose output at
// the last row (the forward direction's last state, the backward direction's first) dense0 turns
// into the logits.
NetworkSpec BiRecurrentNetwork(const Dims& input, RecurrentSpec::Cell cell, int64_t classes,
                               PresetInit init);

}  // namespace drover

#endif  // DROVER_WORKER_NN_PRESETS_H_
