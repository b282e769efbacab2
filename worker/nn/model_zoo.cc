#include "worker/nn/model_zoo.h"

#include <fmt/format.h>

#include "common/base/check.h"

namespace drover {
namespace {

constexpr ModelZooRow kModels[] = {
    {ModelSpec::Kind::kMlp, "mlp", MakeMlpLayers},
};

constexpr int64_t kWidthMax = int64_t{1} << 20;
constexpr size_t kHiddenLayersMax = 1000;

Status CheckBounds(const std::string& field, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("model: {}={}, expected {} to {}", field, value, min, max));
}

}  // namespace

const ModelZooRow& ModelZooRowOf(ModelSpec::Kind kind) {
  const ModelZooRow* found = nullptr;
  for (const ModelZooRow& row : kModels) {
    if (row.kind == kind) found = &row;
  }
  DROVER_CHECK(found != nullptr);
  return *found;
}

Result<ModelSpec::Kind> ModelKindFromName(std::string_view name) {
  std::string known;
  for (const ModelZooRow& row : kModels) {
    if (name == row.name) return row.kind;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  return Status(Code::kInvalidArgument,
                fmt::format("model kind \"{}\" is unknown, expected one of: {}", name, known));
}

Status CheckModelSpec(const ModelSpec& spec) {
  DROVER_RETURN_IF_ERROR(CheckBounds("input_size", spec.input_size, 1, kWidthMax));
  DROVER_RETURN_IF_ERROR(CheckBounds("classes", spec.classes, 2, kWidthMax));
  if (spec.hidden.size() > kHiddenLayersMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("model: {} hidden layers, expected at most {}", spec.hidden.size(),
                              kHiddenLayersMax));
  }
  for (size_t i = 0; i < spec.hidden.size(); ++i) {
    DROVER_RETURN_IF_ERROR(CheckBounds(fmt::format("hidden[{}]", i), spec.hidden[i], 1, kWidthMax));
  }
  return Status();
}

}  // namespace drover
