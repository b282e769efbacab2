#include "worker/train/network_proto.h"

#include "worker/nn/bert.h"
#include "worker/nn/presets.h"
#include "worker/train/network_layers.h"

namespace drover {
namespace {

Result<NetworkSpec> BertOf(const v1::Bert& bert, const SampleShape& sample) {
  if (sample.vocabulary == 0 || sample.extents.size() != 1) {
    return Status(Code::kInvalidArgument, "model.bert: the dataset is not text");
  }
  if (bert.vocabulary_multiple() < 1) {
    return Status(Code::kInvalidArgument, "model.bert: its defaults are not written out");
  }
  const int64_t multiple = bert.vocabulary_multiple();
  const BertSizes sizes = {.layers = bert.layers(),
                           .hidden = bert.hidden(),
                           .heads = bert.heads(),
                           .intermediate = bert.intermediate(),
                           .positions = bert.positions(),
                           .vocabulary = (sample.vocabulary + multiple - 1) / multiple * multiple,
                           .dropout = bert.dropout()};
  return BertNetwork(sizes, sample.extents[0], sample.predictions);
}

PresetInit InitOf(v1::ModelInit init) {
  return init == v1::MODEL_INIT_TABLE ? PresetInit::kTable : PresetInit::kDefault;
}

// The presets that read images.
NetworkSpec ImageNetwork(const v1::ModelSpec& model, const SampleShape& sample) {
  using Cell = RecurrentSpec::Cell;
  const auto recurrent = [&](Cell cell, const v1::BiRecurrent& spec) {
    return BiRecurrentNetwork(sample.extents, cell, sample.classes, InitOf(spec.init()));
  };
  if (model.has_cnn()) {
    return CnnNetwork(sample.extents, sample.classes, InitOf(model.cnn().init()));
  }
  if (model.has_bi_rnn()) return recurrent(Cell::kRnn, model.bi_rnn());
  if (model.has_bi_gru()) return recurrent(Cell::kGru, model.bi_gru());
  if (model.has_bi_lstm()) return recurrent(Cell::kLstm, model.bi_lstm());
  return MlpNetwork(sample.extents, {model.mlp().hidden().begin(), model.mlp().hidden().end()},
                    sample.classes, InitOf(model.mlp().init()));
}

}  // namespace

Result<NetworkSpec> NetworkOf(const v1::ModelSpec& model, const SampleShape& sample) {
  if (model.layers_size() > 0) return NetworkOfLayers(model, sample);
  switch (model.kind_case()) {
    case v1::ModelSpec::kMlp:
    case v1::ModelSpec::kCnn:
    case v1::ModelSpec::kBiRnn:
    case v1::ModelSpec::kBiGru:
    case v1::ModelSpec::kBiLstm:
      if (sample.vocabulary > 0) {
        return Status(Code::kInvalidArgument,
                      "model: reads images, and the dataset gives tokens, not numbers");
      }
      return ImageNetwork(model, sample);
    case v1::ModelSpec::kBert:
      return BertOf(model.bert(), sample);
    case v1::ModelSpec::KIND_NOT_SET:
      break;
  }
  return Status(Code::kInvalidArgument,
                "model: of a kind that this worker does not know; run the same release everywhere");
}

}  // namespace drover
