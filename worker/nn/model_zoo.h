// The table of models: name, and how its layers are made. A new model is a file model_<name>.cc and
// a line here. Thread-safe.

#ifndef DROVER_WORKER_NN_MODEL_ZOO_H_
#define DROVER_WORKER_NN_MODEL_ZOO_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/nn/layer.h"
#include "worker/nn/model.h"

namespace drover {

using Layers = std::vector<std::unique_ptr<Layer>>;

// Layers in forward order; the last one's output are `classes` logits. The spec has been checked.
Layers MakeMlpLayers(const ModelSpec& spec, int64_t micro_batch);

struct ModelZooRow {
  ModelSpec::Kind kind;
  const char* name;  // As in job files.
  Layers (*make_layers)(const ModelSpec& spec, int64_t micro_batch);
};

// The row of a kind; every kind has one.
const ModelZooRow& ModelZooRowOf(ModelSpec::Kind kind);

// kInvalidArgument lists the names that exist.
Result<ModelSpec::Kind> ModelKindFromName(std::string_view name);

// kInvalidArgument names the field that is out of the bounds given in model.h.
Status CheckModelSpec(const ModelSpec& spec);

}  // namespace drover

#endif  // DROVER_WORKER_NN_MODEL_ZOO_H_
