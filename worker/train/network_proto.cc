#include "worker/train/network_proto.h"

#include "worker/nn/presets.h"

namespace drover {

Result<NetworkSpec> NetworkOf(const v1::ModelSpec& model, const SampleShape& sample) {
  switch (model.kind_case()) {
    case v1::ModelSpec::kMlp:
      if (sample.vocabulary > 0) {
        return Status(Code::kInvalidArgument, "model.mlp: the dataset gives tokens, not numbers");
      }
      return MlpNetwork(sample.extents, {model.mlp().hidden().begin(), model.mlp().hidden().end()},
                        sample.classes);
    case v1::ModelSpec::KIND_NOT_SET:
      break;
  }
  return Status(Code::kInvalidArgument,
                "model: of a kind that this worker does not know; run the same release everywhere");
}

}  // namespace drover
