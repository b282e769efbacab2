#include "worker/train/network_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace drover {
namespace {

using Layers = google::protobuf::RepeatedPtrField<v1::Layer>;

Status Unknown(const std::string& what) {
  return Status(Code::kInvalidArgument,
                what + ": not one that this worker knows; run the same release everywhere");
}

template <typename Weights>
Result<WeightInit> InitOf(const Weights& weights) {
  switch (weights.init()) {
    case v1::Layer::INIT_HE:
      return WeightInit{WeightInit::Kind::kHe};
    case v1::Layer::INIT_LECUN:
      return WeightInit{WeightInit::Kind::kLecun};
    case v1::Layer::INIT_GLOROT:
      return WeightInit{WeightInit::Kind::kGlorot};
    case v1::Layer::INIT_NORMAL:
      return WeightInit{WeightInit::Kind::kNormal, weights.deviation()};
    default:
      return Unknown("init");
  }
}

template <typename Windows>
Result<Padding> PaddingOf(const Windows& windows) {
  switch (windows.padding()) {
    case v1::Layer::PADDING_SAME:
      return Padding::kSame;
    case v1::Layer::PADDING_VALID:
      return Padding::kValid;
    default:
      return Unknown("padding");
  }
}

Result<RecurrentSpec> RecurrentOf(const v1::Layer::Recurrent& recurrent) {
  RecurrentSpec spec = {.size = recurrent.size(),
                        .bidirectional = recurrent.bidirectional(),
                        .last_only = recurrent.output() == v1::Layer::Recurrent::OUTPUT_LAST};
  if (!spec.last_only && recurrent.output() != v1::Layer::Recurrent::OUTPUT_SEQUENCE) {
    return Unknown("output");
  }
  switch (recurrent.cell()) {
    case v1::Layer::Recurrent::CELL_RNN:
      spec.cell = RecurrentSpec::Cell::kRnn;
      return spec;
    case v1::Layer::Recurrent::CELL_GRU:
      spec.cell = RecurrentSpec::Cell::kGru;
      return spec;
    case v1::Layer::Recurrent::CELL_LSTM:
      spec.cell = RecurrentSpec::Cell::kLstm;
      return spec;
    default:
      return Unknown("cell");
  }
}

EmbeddingSpec EmbeddingOf(const v1::Layer::Embedding& embedding, int64_t vocabulary) {
  const int64_t multiple = std::max<int64_t>(1, embedding.vocabulary_multiple());
  return {.vocabulary = (vocabulary + multiple - 1) / multiple * multiple,
          .size = embedding.size(),
          .positions = embedding.positions(),
          .segments = embedding.segments(),
          .deviation = embedding.deviation()};
}

class LayerReader {
 public:
  explicit LayerReader(const SampleShape& sample)
      : sample_(sample), image_(sample.extents.size() == 3) {}

  Status Read(const Layers& layers, bool nested, std::vector<LayerSpec>* specs) {
    for (int i = 0; i < layers.size(); ++i) {
      if (layers[i].has_dense() && image_ && !nested) {
        specs->push_back({.name = "", .kind = FlattenSpec{}});
        image_ = false;
      }
      specs->push_back({.name = layers[i].name(), .kind = FlattenSpec{}});
      DROVER_RETURN_IF_ERROR(
          ReadKind(layers[i], &specs->back()).Annotate(fmt::format("layer {}", i + 1)));
    }
    return Status();
  }

 private:
  Status ReadKind(const v1::Layer& layer, LayerSpec* spec) {
    switch (layer.kind_case()) {
      case v1::Layer::kDense:
        return ReadDense(layer.dense(), spec);
      case v1::Layer::kRelu:
        spec->kind = ReluSpec{};
        return Status();
      case v1::Layer::kSigmoid:
        spec->kind = SigmoidSpec{};
        return Status();
      case v1::Layer::kTanh:
        spec->kind = TanhSpec{};
        return Status();
      case v1::Layer::kGelu:
        spec->kind = GeluSpec{};
        return Status();
      case v1::Layer::kFlatten:
        spec->kind = FlattenSpec{};
        image_ = false;
        return Status();
      case v1::Layer::kDropout:
        spec->kind = DropoutSpec{.probability = layer.dropout().probability()};
        return Status();
      case v1::Layer::kLayerNorm:
        spec->kind = LayerNormSpec{.epsilon = layer.layer_norm().epsilon()};
        return Status();
      case v1::Layer::kResidual:
        return ReadResidual(layer.residual(), spec);
      case v1::Layer::kEmbedding:
        spec->kind = EmbeddingOf(layer.embedding(), sample_.vocabulary);
        return Status();
      case v1::Layer::kAttention:
        return ReadAttention(layer.attention(), spec);
      case v1::Layer::kConvolution:
        return ReadConvolution(layer.convolution(), spec);
      case v1::Layer::kMaxPooling:
        return ReadPooling(layer.max_pooling(), spec);
      case v1::Layer::kRecurrent:
        return ReadRecurrent(layer.recurrent(), spec);
      case v1::Layer::KIND_NOT_SET:
        break;
    }
    return Unknown("kind");
  }

  static Status ReadDense(const v1::Layer::Dense& dense, LayerSpec* spec) {
    const Result<WeightInit> init = InitOf(dense);
    if (!init.ok()) return init.status();
    spec->kind = DenseSpec{.size = dense.size(), .weight_init = init.value()};
    return Status();
  }

  static Status ReadAttention(const v1::Layer::Attention& attention, LayerSpec* spec) {
    const Result<WeightInit> init = InitOf(attention);
    if (!init.ok()) return init.status();
    spec->kind = AttentionSpec{
        .heads = attention.heads(), .dropout = attention.dropout(), .weight_init = init.value()};
    return Status();
  }

  static Status ReadConvolution(const v1::Layer::Convolution& convolution, LayerSpec* spec) {
    const Result<WeightInit> init = InitOf(convolution);
    if (!init.ok()) return init.status();
    const Result<Padding> padding = PaddingOf(convolution);
    if (!padding.ok()) return padding.status();
    spec->kind = ConvolutionSpec{.filters = convolution.filters(),
                                 .kernel = convolution.kernel(),
                                 .stride = convolution.stride(),
                                 .padding = padding.value(),
                                 .weight_init = init.value()};
    return Status();
  }

  static Status ReadPooling(const v1::Layer::MaxPooling& pooling, LayerSpec* spec) {
    const Result<Padding> padding = PaddingOf(pooling);
    if (!padding.ok()) return padding.status();
    spec->kind = MaxPoolingSpec{
        .size = pooling.size(), .stride = pooling.stride(), .padding = padding.value()};
    return Status();
  }

  Status ReadRecurrent(const v1::Layer::Recurrent& recurrent, LayerSpec* spec) {
    const Result<RecurrentSpec> read = RecurrentOf(recurrent);
    if (!read.ok()) return read.status();
    spec->kind = read.value();
    image_ = false;
    return Status();
  }

  Status ReadResidual(const v1::Layer::Residual& residual, LayerSpec* spec) {
    ResidualSpec inner;
    DROVER_RETURN_IF_ERROR(Read(residual.layers(), /*nested=*/true, &inner.layers));
    spec->kind = std::move(inner);
    return Status();
  }

  const SampleShape& sample_;
  bool image_;  // What the next layer is given is {height, width, channels}.
};

Status ReadLoss(v1::ModelSpec::Loss loss, const SampleShape& sample, NetworkSpec* network) {
  if (loss == v1::ModelSpec::LOSS_SOFTMAX_CROSS_ENTROPY) {
    network->head.kind = SoftmaxCrossEntropySpec{.classes = sample.classes};
    return Status();
  }
  if (loss == v1::ModelSpec::LOSS_MEAN_SQUARED_ERROR) {
    network->head.kind = MeanSquaredErrorSpec{.classes = sample.classes};
    return Status();
  }
  if (loss != v1::ModelSpec::LOSS_BERT_PRETRAINING) return Unknown("model.loss");
  const LayerSpec& first = network->layers.front();
  const auto* const words = std::get_if<EmbeddingSpec>(&first.kind);
  if (words == nullptr || sample.vocabulary == 0) {
    return Status(Code::kInvalidArgument,
                  "model.loss: bert_pretraining needs a dataset of text and an embedding as the "
                  "first layer");
  }
  network->head.kind = BertPretrainingSpec{
      .embedding = first.name, .words = *words, .predictions = sample.predictions};
  return Status();
}

}  // namespace

Result<NetworkSpec> NetworkOfLayers(const v1::ModelSpec& model, const SampleShape& sample) {
  NetworkSpec network;
  network.input = sample.extents;
  network.vocabulary = sample.vocabulary;
  network.predictions = sample.predictions;
  DROVER_RETURN_IF_ERROR(LayerReader(sample)
                             .Read(model.layers(), /*nested=*/false, &network.layers)
                             .Annotate("model.layers"));
  DROVER_RETURN_IF_ERROR(ReadLoss(model.loss(), sample, &network));
  return network;
}

}  // namespace drover
