#include "worker/train/network_proto.h"

#include "worker/nn/bert.h"
#include "worker/nn/presets.h"

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

}  // namespace

Result<NetworkSpec> NetworkOf(const v1::ModelSpec& model, const SampleShape& sample) {
  switch (model.kind_case()) {
    case v1::ModelSpec::kMlp:
      if (sample.vocabulary > 0) {
        return Status(Code::kInvalidArgument, "model.mlp: the dataset gives tokens, not numbers");
      }
      return MlpNetwork(sample.extents, {model.mlp().hidden().begin(), model.mlp().hidden().end()},
                        sample.classes);
    case v1::ModelSpec::kBert:
      return BertOf(model.bert(), sample);
    case v1::ModelSpec::KIND_NOT_SET:
      break;
  }
  return Status(Code::kInvalidArgument,
                "model: of a kind that this worker does not know; run the same release everywhere");
}

}  // namespace drover
