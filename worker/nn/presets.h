// Networks by name, as data. Functions only; thread-safe.

#ifndef DROVER_WORKER_NN_PRESETS_H_
#define DROVER_WORKER_NN_PRESETS_H_

#include <cstdint>
#include <vector>

#include "worker/nn/network_spec.h"

namespace drover {

// Multi-layer perceptron: dense0, ReLU, dense1, ReLU, ..., dense<n> to the logits. `hidden` may be
// empty: softmax regression.
NetworkSpec MlpNetwork(const Dims& input, const std::vector<int64_t>& hidden, int64_t classes);

}  // namespace drover

#endif  // DROVER_WORKER_NN_PRESETS_H_
