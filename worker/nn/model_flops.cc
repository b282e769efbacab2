#include "worker/nn/model_flops.h"

#include <algorithm>

#include "worker/nn/window.h"

namespace drover {
namespace {

double Product(int64_t rows, int64_t inputs, int64_t outputs) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inputs) *
         static_cast<double>(outputs);
}

double Gates(RecurrentSpec::Cell cell) {
  switch (cell) {
    case RecurrentSpec::Cell::kRnn:
      return 1.0;
    case RecurrentSpec::Cell::kGru:
      return 3.0;
    case RecurrentSpec::Cell::kLstm:
      return 4.0;
  }
  return 0.0;
}

double LayersFlops(const std::vector<LayerSpec>& layers, Dims* dims);

// Operations of one layer; *dims are its input's and become its output's. One overload per kind of
// layer: std::visit refuses to compile when one is missing.
struct LayerFlops {
  Dims* dims;

  double operator()(const DenseSpec& spec) const {
    const int64_t inputs = dims->back();
    const int64_t rows = ElementsOf(*dims) / inputs;
    dims->back() = spec.size;
    return Product(rows, inputs, spec.size);
  }
  double operator()(const ConvolutionSpec& spec) const {
    const int64_t channels = dims->back();
    const int64_t windows = Windows(spec.kernel, spec.stride, spec.padding);
    dims->back() = spec.filters;
    return Product(windows, spec.kernel * spec.kernel * channels, spec.filters);
  }
  double operator()(const AttentionSpec& /*spec*/) const {
    const int64_t tokens = dims->front();
    const int64_t size = dims->back();
    return 4.0 * Product(tokens, size, size) + 2.0 * Product(tokens, size, tokens);
  }
  double operator()(const RecurrentSpec& spec) const {
    const int64_t steps = dims->front();
    const int64_t features = ElementsOf(*dims) / steps;
    const double step = Gates(spec.cell) * Product(1, features + spec.size, spec.size);
    const int64_t outputs = (spec.bidirectional ? 2 : 1) * spec.size;
    *dims = spec.last_only ? Dims{outputs} : Dims{steps, outputs};
    double run = static_cast<double>(steps);
    if (spec.bidirectional) run += spec.last_only ? 1.0 : static_cast<double>(steps);
    return run * step;
  }
  double operator()(const ResidualSpec& spec) const { return LayersFlops(spec.layers, dims); }
  double operator()(const MaxPoolingSpec& spec) const {
    Windows(spec.size, spec.stride, spec.padding);
    return 0.0;
  }
  double operator()(const FlattenSpec& /*spec*/) const {
    *dims = {ElementsOf(*dims)};
    return 0.0;
  }
  double operator()(const EmbeddingSpec& spec) const {
    dims->push_back(spec.size);
    return 0.0;
  }
  double operator()(const LayerNormSpec& /*spec*/) const { return 0.0; }
  double operator()(const ReluSpec& /*spec*/) const { return 0.0; }
  double operator()(const SigmoidSpec& /*spec*/) const { return 0.0; }
  double operator()(const TanhSpec& /*spec*/) const { return 0.0; }
  double operator()(const GeluSpec& /*spec*/) const { return 0.0; }
  double operator()(const DropoutSpec& /*spec*/) const { return 0.0; }

  // How many windows an image has; it becomes as large.
  int64_t Windows(int64_t size, int64_t stride, Padding padding) const {
    for (size_t axis = 0; axis < 2; ++axis) {
      (*dims)[axis] = MakeWindowAxis((*dims)[axis], size, stride, padding).count;
    }
    return (*dims)[0] * (*dims)[1];
  }
};

double LayersFlops(const std::vector<LayerSpec>& layers, Dims* dims) {
  double sum = 0.0;
  for (const LayerSpec& layer : layers) sum += std::visit(LayerFlops{dims}, layer.kind);
  return sum;
}

struct HeadFlops {
  const Dims& input;

  double operator()(const SoftmaxCrossEntropySpec& /*spec*/) const { return 0.0; }
  double operator()(const MeanSquaredErrorSpec& /*spec*/) const { return 0.0; }
  double operator()(const BertPretrainingSpec& spec) const {
    const int64_t size = input.back();
    const double masked = Product(spec.predictions, size, size) +
                          Product(spec.predictions, size, spec.words.vocabulary);
    return masked + Product(1, size, size) + Product(1, size, 2);
  }
};

}  // namespace

double ForwardFlops(const NetworkSpec& network) {
  Dims dims = network.input;
  const double layers = LayersFlops(network.layers, &dims);
  return layers + std::visit(HeadFlops{dims}, network.head.kind);
}

}  // namespace drover
