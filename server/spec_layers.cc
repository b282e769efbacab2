// model.layers: every layer by itself. How layers fit together: spec_layer_shapes.cc.

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>

#include "common/base/quote.h"
#include "server/spec_checker.h"

namespace drover {
namespace {

using Layers = google::protobuf::RepeatedPtrField<v1::Layer>;

constexpr int64_t kLayersMax = 500;  // Nested ones included.
constexpr int kNestingMax = 8;       // Residual blocks inside each other; a job file holds no more.
constexpr int64_t kHeadsMax = 1024;
constexpr int64_t kSegmentsMax = 2;
constexpr int64_t kWindowMax = 1024;
constexpr int64_t kUnitsMax = 16384;  // Of a recurrent layer.
constexpr double kDeviationMax = 10.0;
constexpr double kDeviationDefault = 0.02;  // BERT's.
constexpr double kDropoutDefault = 0.5;     // PyTorch's.
constexpr double kEpsilonDefault = 1e-5;    // PyTorch's.
constexpr size_t kNameBytesMax = 100;

std::string KindNames() {
  const google::protobuf::OneofDescriptor& kinds = *v1::Layer::descriptor()->oneof_decl(0);
  std::string names;
  for (int i = 0; i < kinds.field_count(); ++i) {
    names += (i == 0 ? "" : ", ") + kinds.field(i)->name();
  }
  return names;
}

// "dense"; empty for a layer without kind.
std::string KindName(const v1::Layer& layer) {
  const google::protobuf::FieldDescriptor* const kind =
      layer.GetReflection()->GetOneofFieldDescriptor(layer, v1::Layer::descriptor()->oneof_decl(0));
  return kind == nullptr ? "" : kind->name();
}

// Whether tensors or random numbers are named after the layer.
bool NeedsName(const v1::Layer& layer) {
  switch (layer.kind_case()) {
    case v1::Layer::kDense:
    case v1::Layer::kDropout:
    case v1::Layer::kLayerNorm:
    case v1::Layer::kEmbedding:
    case v1::Layer::kAttention:
    case v1::Layer::kConvolution:
    case v1::Layer::kRecurrent:
      return true;
    case v1::Layer::kRelu:
    case v1::Layer::kSigmoid:
    case v1::Layer::kTanh:
    case v1::Layer::kGelu:
    case v1::Layer::kFlatten:
    case v1::Layer::kResidual:
    case v1::Layer::kMaxPooling:
    case v1::Layer::KIND_NOT_SET:
      break;
  }
  return false;
}

template <typename Window>
void WritePadding(Window* window) {
  if (window->padding() == v1::Layer::PADDING_UNSPECIFIED) {
    window->set_padding(v1::Layer::PADDING_SAME);
  }
}

template <typename Weights>
void WriteInit(v1::Layer::Init init, Weights* weights) {
  if (weights->init() == v1::Layer::INIT_UNSPECIFIED) weights->set_init(init);
  if (weights->init() == v1::Layer::INIT_NORMAL && !weights->has_deviation()) {
    weights->set_deviation(kDeviationDefault);
  }
}

class DefaultsWriter {
 public:
  explicit DefaultsWriter(int64_t sequence_length) : sequence_length_(sequence_length) {}

  void Write(Layers* layers) {
    for (v1::Layer& layer : *layers) {
      const int number = counts_[layer.kind_case()]++;
      if (NeedsName(layer) && layer.name().empty()) {
        layer.set_name(KindName(layer) + std::to_string(number));
      }
      if (layer.has_dense()) WriteInit(v1::Layer::INIT_HE, layer.mutable_dense());
      if (layer.has_dropout() && !layer.dropout().has_probability()) {
        layer.mutable_dropout()->set_probability(kDropoutDefault);
      }
      if (layer.has_layer_norm() && !layer.layer_norm().has_epsilon()) {
        layer.mutable_layer_norm()->set_epsilon(kEpsilonDefault);
      }
      if (layer.has_residual()) Write(layer.mutable_residual()->mutable_layers());
      if (layer.has_embedding()) WriteEmbedding(layer.mutable_embedding());
      if (layer.has_attention()) WriteAttention(layer.mutable_attention());
      if (layer.has_convolution()) WriteConvolution(layer.mutable_convolution());
      if (layer.has_max_pooling()) WritePooling(layer.mutable_max_pooling());
      if (layer.has_recurrent() &&
          layer.recurrent().output() == v1::Layer::Recurrent::OUTPUT_UNSPECIFIED) {
        layer.mutable_recurrent()->set_output(v1::Layer::Recurrent::OUTPUT_LAST);
      }
    }
  }

 private:
  void WriteEmbedding(v1::Layer::Embedding* embedding) const {
    if (!embedding->has_positions()) embedding->set_positions(sequence_length_);
    if (!embedding->has_segments()) embedding->set_segments(kSegmentsMax);
    if (embedding->vocabulary_multiple() == 0) embedding->set_vocabulary_multiple(1);
    if (!embedding->has_deviation()) embedding->set_deviation(kDeviationDefault);
  }

  static void WriteAttention(v1::Layer::Attention* attention) {
    if (attention->heads() == 0) attention->set_heads(1);
    if (!attention->has_dropout()) attention->set_dropout(0.0);
    WriteInit(v1::Layer::INIT_NORMAL, attention);
  }

  static void WriteConvolution(v1::Layer::Convolution* convolution) {
    if (convolution->kernel() == 0) convolution->set_kernel(3);
    if (convolution->stride() == 0) convolution->set_stride(1);
    WritePadding(convolution);
    WriteInit(v1::Layer::INIT_HE, convolution);
  }

  static void WritePooling(v1::Layer::MaxPooling* pooling) {
    if (pooling->size() == 0) pooling->set_size(2);
    if (pooling->stride() == 0) pooling->set_stride(pooling->size());
    WritePadding(pooling);
  }

  const int64_t sequence_length_;
  std::map<v1::Layer::KindCase, int> counts_;
};

bool IsName(const std::string& name) {
  return name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '/' || c == '-';
         });
}

// Of layers with their defaults.
class LayerChecker {
 public:
  explicit LayerChecker(SpecChecker* checker) : checker_(checker) {}

  void Check(const std::string& path, const Layers& layers, int nesting) {
    for (int i = 0; i < layers.size(); ++i) {
      if (++count_ > kLayersMax) {
        if (count_ == kLayersMax + 1) {
          checker_->Add("model.layers", "has more than {} layers, nested ones included",
                        kLayersMax);
        }
        return;
      }
      const std::string layer_path = fmt::format("{}[{}]", path, i);
      CheckName(layer_path, layers[i]);
      if (layers[i].has_residual()) {
        CheckResidual(layer_path + ".residual.layers", layers[i].residual().layers(), nesting + 1);
      } else {
        CheckKind(layer_path, layers[i]);
      }
    }
  }

 private:
  void CheckName(const std::string& path, const v1::Layer& layer) {
    if (!IsName(layer.name())) {
      checker_->Add(path + ".name", "is {}, expected [A-Za-z0-9_./-]{{1,{}}}", Quote(layer.name()),
                    kNameBytesMax);
    } else if (NeedsName(layer)) {
      const auto [other, is_new] = names_.emplace(layer.name(), path);
      if (!is_new) {
        checker_->Add(path + ".name", "is {}, as of {}; expected a name of its own",
                      Quote(layer.name()), other->second);
      }
    }
  }

  void CheckResidual(const std::string& path, const Layers& layers, int nesting) {
    if (layers.empty()) checker_->Add(path, "is missing, expected at least one layer");
    if (nesting > kNestingMax) {
      checker_->Add(path, "are inside of {} residuals, expected at most {}", nesting, kNestingMax);
      return;
    }
    Check(path, layers, nesting);
  }

  // Not of residuals.
  void CheckKind(const std::string& path, const v1::Layer& layer) {
    if (layer.has_dense()) {
      CheckSize(path + ".dense.size", layer.dense().size(), kLayerWidthMax);
      CheckInit(path + ".dense.", layer.dense());
    } else if (layer.has_dropout()) {
      CheckShare(path + ".dropout.probability", layer.dropout().probability());
    } else if (layer.has_layer_norm()) {
      const double epsilon = layer.layer_norm().epsilon();
      checker_->Holds(path + ".layer_norm.epsilon", epsilon, epsilon > 0 && epsilon <= 1,
                      "above 0 to 1");
    } else if (layer.has_embedding()) {
      CheckEmbedding(path + ".embedding.", layer.embedding());
    } else if (layer.has_attention()) {
      checker_->InRange(path + ".attention.heads", layer.attention().heads(), 1, kHeadsMax);
      CheckShare(path + ".attention.dropout", layer.attention().dropout());
      CheckInit(path + ".attention.", layer.attention());
    } else if (layer.has_convolution()) {
      CheckSize(path + ".convolution.filters", layer.convolution().filters(), kLayerWidthMax);
      checker_->InRange(path + ".convolution.kernel", layer.convolution().kernel(), 1, kWindowMax);
      checker_->InRange(path + ".convolution.stride", layer.convolution().stride(), 1, kWindowMax);
      CheckInit(path + ".convolution.", layer.convolution());
    } else if (layer.has_max_pooling()) {
      checker_->InRange(path + ".max_pooling.size", layer.max_pooling().size(), 1, kWindowMax);
      checker_->InRange(path + ".max_pooling.stride", layer.max_pooling().stride(), 1, kWindowMax);
    } else if (layer.has_recurrent()) {
      CheckSize(path + ".recurrent.size", layer.recurrent().size(), kUnitsMax);
      if (layer.recurrent().cell() == v1::Layer::Recurrent::CELL_UNSPECIFIED) {
        checker_->Add(path + ".recurrent.cell", "is missing, expected one of rnn, gru, lstm");
      }
    } else if (layer.kind_case() == v1::Layer::KIND_NOT_SET) {
      checker_->Add(path, "names no layer, expected one of {}", KindNames());
    }
  }

  void CheckEmbedding(const std::string& path, const v1::Layer::Embedding& embedding) {
    CheckSize(path + "size", embedding.size(), kLayerWidthMax);
    checker_->InRange(path + "positions", embedding.positions(), 0, kPositionsMax);
    checker_->InRange(path + "segments", embedding.segments(), 0, kSegmentsMax);
    checker_->InRange(path + "vocabulary_multiple", embedding.vocabulary_multiple(), 1,
                      kMultipleMax);
    CheckDeviation(path + "deviation", embedding.deviation());
  }

  void CheckSize(const std::string& path, int64_t size, int64_t max) {
    if (size == 0) {
      checker_->Add(path, "is missing, expected 1 to {}", max);
    } else {
      checker_->InRange(path, size, 1, max);
    }
  }

  void CheckShare(const std::string& path, double share) {
    checker_->Holds(path, share, share >= 0 && share < 1, "0 to below 1");
  }

  void CheckDeviation(const std::string& path, double deviation) {
    checker_->Holds(path, deviation, deviation > 0 && deviation <= kDeviationMax, "above 0 to 10");
  }

  template <typename Weights>
  void CheckInit(const std::string& path, const Weights& weights) {
    if (weights.init() == v1::Layer::INIT_NORMAL) {
      CheckDeviation(path + "deviation", weights.deviation());
    } else if (weights.has_deviation()) {
      checker_->Add(path + "deviation", "is {}, expected only with init: normal",
                    weights.deviation());
    }
  }

  SpecChecker* const checker_;
  int64_t count_ = 0;
  std::map<std::string, std::string> names_;  // To paths.
};

}  // namespace

void WriteLayers(const v1::DatasetSpec& dataset, v1::ModelSpec* model) {
  Layers* const layers = model->mutable_layers();
  if (!layers->empty() && layers->rbegin()->has_dense()) {
    WriteInit(v1::Layer::INIT_LECUN, layers->rbegin()->mutable_dense());
  }
  DefaultsWriter(SequenceLength(dataset.text())).Write(layers);
  if (model->loss() == v1::ModelSpec::LOSS_UNSPECIFIED) {
    model->set_loss(v1::ModelSpec::LOSS_SOFTMAX_CROSS_ENTROPY);
  }
}

void CheckLayers(const v1::ModelSpec& spec, const v1::DatasetSpec& dataset, SpecChecker* checker) {
  const size_t violations = checker->violations().size();
  v1::ModelSpec model = spec;
  WriteLayers(dataset, &model);
  LayerChecker(checker).Check("model.layers", model.layers(), /*nesting=*/0);
  if (checker->violations().size() == violations) CheckLayerShapes(model, dataset, checker);
}

}  // namespace drover
