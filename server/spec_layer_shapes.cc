// model.layers: whether each layer fits what the one before makes, as far as a job file tells. What
// only the dataset's files tell, workers find out.

#include <fmt/ranges.h>

#include <optional>
#include <utility>
#include <vector>

#include "server/spec_checker.h"

namespace drover {
namespace {

using Layers = google::protobuf::RepeatedPtrField<v1::Layer>;

constexpr int64_t kUnknown = 0;  // As an extent: of IDX files.
constexpr int64_t kImageClasses = 10;
constexpr int64_t kTextClasses = 2;  // Whether the second part of a sample follows the first.

// As worker/nn/layer.h has them.
using Extents = std::vector<int64_t>;

std::string Text(const Extents& extents) {
  std::string text;
  for (const int64_t extent : extents) {
    text += (text.empty() ? "" : "x") + (extent == kUnknown ? "?" : std::to_string(extent));
  }
  return text;
}

bool MayBeEqual(const Extents& a, const Extents& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && a[i] != kUnknown && b[i] != kUnknown) return false;
  }
  return true;
}

Extents Flattened(const Extents& extents) {
  int64_t product = 1;
  for (const int64_t extent : extents) product *= extent;  // 0 where one is unknown.
  return {product};
}

Extents SampleOf(const v1::DatasetSpec& dataset) {
  if (dataset.has_text()) return {SequenceLength(dataset.text())};
  if (dataset.has_synthetic_digits()) return {28, 28, 1};
  return {kUnknown, kUnknown, 1};
}

// Follows a sample through the layers; stops at the first one that does not fit.
class ShapeChecker {
 public:
  ShapeChecker(bool text, SpecChecker* checker) : text_(text), checker_(checker) {}

  // Nothing: it has said what is wrong.
  std::optional<Extents> Pass(const std::string& path, const Layers& layers, Extents extents,
                              bool nested) {
    for (int i = 0; i < layers.size(); ++i) {
      const v1::Layer& layer = layers[i];
      const std::string layer_path = fmt::format("{}[{}]", path, i);
      const bool first = i == 0 && !nested;
      if (layer.has_embedding() != (first && text_)) return RefuseTokens(layer_path, first);
      std::optional<Extents> made = Through(layer_path, layer, extents, nested);
      if (!made.has_value()) return std::nullopt;
      extents = *std::move(made);
    }
    return extents;
  }

 private:
  std::optional<Extents> RefuseTokens(const std::string& path, bool first) {
    if (text_ && first) {
      checker_->Add(path, "reads numbers, and the dataset gives tokens; expected an embedding");
    } else {
      checker_->Add(path, "is an embedding, expected only as the first layer on dataset.text");
    }
    return std::nullopt;
  }

  std::optional<Extents> Through(const std::string& path, const v1::Layer& layer, Extents extents,
                                 bool nested) {
    switch (layer.kind_case()) {
      case v1::Layer::kDense:
        if (extents.size() == 3 && !nested) extents = Flattened(extents);
        extents.back() = layer.dense().size();
        return extents;
      case v1::Layer::kFlatten:
        return Flattened(extents);
      case v1::Layer::kEmbedding:
        return ThroughEmbedding(path, layer.embedding(), extents);
      case v1::Layer::kAttention:
        return ThroughAttention(path, layer.attention(), extents);
      case v1::Layer::kConvolution: {
        const v1::Layer::Convolution& convolution = layer.convolution();
        return ThroughWindows(path + ".convolution", convolution.kernel(), convolution,
                              convolution.filters(), extents);
      }
      case v1::Layer::kMaxPooling: {
        const v1::Layer::MaxPooling& pooling = layer.max_pooling();
        return ThroughWindows(path + ".max_pooling", pooling.size(), pooling, extents.back(),
                              extents);
      }
      case v1::Layer::kRecurrent:
        return ThroughRecurrent(path, layer.recurrent(), extents);
      case v1::Layer::kResidual:
        return ThroughResidual(path, layer.residual(), extents);
      case v1::Layer::kRelu:
      case v1::Layer::kSigmoid:
      case v1::Layer::kTanh:
      case v1::Layer::kGelu:
      case v1::Layer::kDropout:
      case v1::Layer::kLayerNorm:
      case v1::Layer::KIND_NOT_SET:
        break;
    }
    return extents;
  }

  std::optional<Extents> ThroughEmbedding(const std::string& path,
                                          const v1::Layer::Embedding& embedding,
                                          const Extents& extents) {
    if (embedding.positions() != 0 && embedding.positions() < extents[0]) {
      checker_->Add(path + ".embedding.positions",
                    "is {}, expected 0 (none), or at least dataset.text.sequence_length ({})",
                    embedding.positions(), extents[0]);
      return std::nullopt;
    }
    return Extents{extents[0], embedding.size()};
  }

  std::optional<Extents> ThroughAttention(const std::string& path,
                                          const v1::Layer::Attention& attention,
                                          const Extents& extents) {
    if (extents.size() != 2) {
      checker_->Add(path + ".attention", "is given {}, expected a sequence, tokens x size",
                    Text(extents));
      return std::nullopt;
    }
    if (extents[1] % attention.heads() != 0) {
      checker_->Add(path + ".attention.heads", "is {}, expected a divisor of {} values per token",
                    attention.heads(), extents[1]);
      return std::nullopt;
    }
    return extents;
  }

  // Convolution and pooling.
  template <typename Windows>
  std::optional<Extents> ThroughWindows(const std::string& path, int64_t size,
                                        const Windows& windows, int64_t channels,
                                        const Extents& extents) {
    if (extents.size() != 3) {
      checker_->Add(path, "is given {}, expected an image, height x width x channels",
                    Text(extents));
      return std::nullopt;
    }
    Extents made = {kUnknown, kUnknown, channels};
    for (size_t axis = 0; axis < 2; ++axis) {
      if (extents[axis] == kUnknown) continue;
      const bool valid = windows.padding() == v1::Layer::PADDING_VALID;
      const int64_t places = valid ? extents[axis] - size + 1 : extents[axis];
      if (places < 1) {
        checker_->Add(path, "has windows of {}, expected at most {}, or padding: same", size,
                      extents[axis]);
        return std::nullopt;
      }
      made[axis] = (places + windows.stride() - 1) / windows.stride();
    }
    return made;
  }

  std::optional<Extents> ThroughRecurrent(const std::string& path,
                                          const v1::Layer::Recurrent& recurrent,
                                          const Extents& extents) {
    if (extents.size() < 2) {
      checker_->Add(path + ".recurrent", "is given {}, expected a sequence, steps x size",
                    Text(extents));
      return std::nullopt;
    }
    const int64_t made = (recurrent.bidirectional() ? 2 : 1) * recurrent.size();
    if (recurrent.output() == v1::Layer::Recurrent::OUTPUT_SEQUENCE) {
      return Extents{extents[0], made};
    }
    return Extents{made};
  }

  std::optional<Extents> ThroughResidual(const std::string& path,
                                         const v1::Layer::Residual& residual,
                                         const Extents& extents) {
    const std::optional<Extents> made =
        Pass(path + ".residual.layers", residual.layers(), extents, /*nested=*/true);
    if (made.has_value() && !MayBeEqual(*made, extents)) {
      checker_->Add(path + ".residual", "makes {} of {}, expected the same shape", Text(*made),
                    Text(extents));
      return std::nullopt;
    }
    return made.has_value() ? std::optional<Extents>(extents) : std::nullopt;
  }

  const bool text_;
  SpecChecker* const checker_;
};

void CheckLoss(const v1::ModelSpec& model, bool text, const Extents& made, SpecChecker* checker) {
  if (model.loss() == v1::ModelSpec::LOSS_BERT_PRETRAINING) {
    if (!text) {
      checker->Add("model.loss",
                   "is bert_pretraining, which needs dataset.text; expected softmax_cross_entropy "
                   "or mean_squared_error");
    } else if (made.size() != 2) {
      checker->Add("model.layers",
                   "make {} in the end, and bert_pretraining reads a sequence, tokens x size",
                   Text(made));
    }
    return;
  }
  const int64_t classes = text ? kTextClasses : kImageClasses;
  if (MayBeEqual(made, {classes})) return;
  checker->Add("model.layers",
               "make {} in the end, expected one value for each of the dataset's {} classes; the "
               "last layer may be dense: {{size: {}}}{}",
               Text(made), classes, classes, made.size() == 2 ? ", after a flatten" : "");
}

}  // namespace

void CheckLayerShapes(const v1::ModelSpec& model, const v1::DatasetSpec& dataset,
                      SpecChecker* checker) {
  if (dataset.source_case() == v1::DatasetSpec::SOURCE_NOT_SET) return;
  const std::optional<Extents> made =
      ShapeChecker(dataset.has_text(), checker)
          .Pass("model.layers", model.layers(), SampleOf(dataset), /*nested=*/false);
  if (made.has_value()) CheckLoss(model, dataset.has_text(), *made, checker);
}

}  // namespace drover
