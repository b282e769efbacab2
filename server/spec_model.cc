// model: which network, and what of a preset's settings a job file alone can get wrong.

#include "server/spec_checker.h"

namespace drover {
namespace {

void CheckMlp(const v1::Mlp& mlp, SpecChecker* checker) {
  const auto& hidden = mlp.hidden();
  if (hidden.size() > kHiddenLayersMax) {
    checker->Add("model.mlp.hidden", "has {} layers, expected at most {}", hidden.size(),
                 kHiddenLayersMax);
    return;
  }
  int64_t parameters = 0;
  int64_t inputs = 1;  // The dataset's; this is a lower bound.
  for (const int64_t width : hidden) {
    if (!checker->InRange("model.mlp.hidden", width, 1, kLayerWidthMax)) return;
    parameters += inputs * width;
    inputs = width;
  }
  if (parameters > kParametersMax) {
    checker->Add("model.mlp.hidden", "makes more than {} parameters, expected at most {}",
                 parameters, kParametersMax);
  }
}

}  // namespace

void CheckModel(const v1::ModelSpec& model, const v1::DatasetSpec& dataset, SpecChecker* checker) {
  if (model.layers_size() > 0) {
    if (model.kind_case() == v1::ModelSpec::KIND_NOT_SET) {
      return CheckLayers(model, dataset, checker);
    }
    checker->Add("model.layers", "stands beside another model, expected one of them");
    return;
  }
  if (model.loss() != v1::ModelSpec::LOSS_UNSPECIFIED) {
    checker->Add("model.loss", "is set, expected only with model.layers");
  }
  switch (model.kind_case()) {
    case v1::ModelSpec::kBert:
      return CheckBert(model.bert(), dataset, checker);
    case v1::ModelSpec::kMlp:
      CheckMlp(model.mlp(), checker);
      break;
    case v1::ModelSpec::kCnn:
    case v1::ModelSpec::kBiRnn:
    case v1::ModelSpec::kBiGru:
    case v1::ModelSpec::kBiLstm:
      break;
    case v1::ModelSpec::KIND_NOT_SET:
      checker->Add("model",
                   "is missing, expected one of mlp, cnn, bi_rnn, bi_gru, bi_lstm, bert, layers");
      return;
  }
  if (dataset.has_text()) {
    checker->Add("dataset.text",
                 "gives tokens, and this model reads images; expected idx or synthetic_digits");
  }
}

}  // namespace drover
