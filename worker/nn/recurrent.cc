#include "worker/nn/recurrent.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

using Cell = RecurrentSpec::Cell;

constexpr int64_t kRecurrentSizeMax = 16384;
constexpr int64_t kStepValuesMax = int64_t{1} << 32;  // Gates of all steps: 16 GiB.

// [rows, columns] blocks of `block` values to [columns, rows].
void TransposeBlocks(int64_t rows, int64_t columns, int64_t block, const float* from, float* to) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      std::copy_n(from + (row * columns + column) * block, block,
                  to + (column * rows + row) * block);
    }
  }
}

// Which elements of bias_ih begin at 1.
InitRule BiasInit(Cell cell, int64_t size) {
  const uint64_t units = static_cast<uint64_t>(size);
  switch (cell) {
    case Cell::kRnn:
      break;
    case Cell::kGru:  // r and z.
      return {.kind = InitRule::Kind::kConstantRange, .value = 1.0f, .begin = 0, .end = 2 * units};
    case Cell::kLstm:  // f.
      return {
          .kind = InitRule::Kind::kConstantRange, .value = 1.0f, .begin = units, .end = 2 * units};
  }
  return {};
}

Dims OutputDims(const RecurrentSpec& spec, int64_t steps) {
  const int64_t features = (spec.bidirectional ? 2 : 1) * spec.size;
  return spec.last_only ? Dims{features} : Dims{steps, features};
}

}  // namespace

Recurrent::Recurrent(std::string name, const RecurrentSpec& spec, const RecurrentShape& shape)
    : name_(std::move(name)),
      shape_(shape),
      output_(OutputDims(spec, shape.steps)),
      x_(static_cast<size_t>(shape.samples * shape.steps * shape.input_size)),
      dx_(x_.size()) {
  directions_.emplace_back(shape, /*reverse=*/false);
  if (spec.bidirectional) directions_.emplace_back(shape, /*reverse=*/true);
}

std::vector<TensorSpec> Recurrent::tensors() const {
  const int64_t rows = shape_.gates() * shape_.size;
  const InitRule weight =
      MakeInitRule({.kind = WeightInit::Kind::kGlorot}, shape_.input_size + shape_.size, rows);
  std::vector<TensorSpec> tensors;
  for (size_t d = 0; d < directions_.size(); ++d) {
    const char* const suffix = d == 0 ? "" : "_reverse";
    const auto add = [&](const char* part, std::vector<int64_t> dims, const InitRule& init) {
      tensors.push_back({.name = fmt::format("{}.{}_l0{}", name_, part, suffix),
                         .shape = std::move(dims),
                         .init = init});
    };
    add("weight_ih", {rows, shape_.input_size}, weight);
    add("weight_hh", {rows, shape_.size}, weight);
    add("bias_ih", {rows}, BiasInit(shape_.cell, shape_.size));
    add("bias_hh", {rows}, {});
  }
  return tensors;
}

template <typename T>
RecurrentOutput<T> Recurrent::OutputOf(T* values, size_t d) const {
  const int64_t sample = ElementsOf(output_);
  return {.values = values + static_cast<int64_t>(d) * shape_.size,
          .sample_stride = sample,
          .step_stride = shape_.last_only ? 0 : output_.back()};
}

Status Recurrent::Forward(const ForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == directions_.size() * kRecurrentTensors);
  TransposeBlocks(shape_.samples, shape_.steps, shape_.input_size, pass.input, x_.data());
  for (size_t d = 0; d < directions_.size(); ++d) {
    const auto weights = pass.weights.subspan(d * kRecurrentTensors, kRecurrentTensors);
    DROVER_RETURN_IF_ERROR(
        directions_[d].Forward(x_.data(), weights, OutputOf(pass.output, d)).Annotate(name_));
  }
  return Status();
}

Status Recurrent::Backward(const BackwardPass& pass) {
  DROVER_CHECK(pass.weight_gradients.size() == directions_.size() * kRecurrentTensors);
  const bool to_input = pass.input_gradient != nullptr;
  if (to_input) std::ranges::fill(dx_, 0.0f);
  for (size_t d = 0; d < directions_.size(); ++d) {
    const size_t first = d * kRecurrentTensors;
    DROVER_RETURN_IF_ERROR(directions_[d]
                               .Backward(x_.data(), pass.weights.subspan(first, kRecurrentTensors),
                                         OutputOf<const float>(pass.output_gradient, d),
                                         pass.weight_gradients.subspan(first, kRecurrentTensors),
                                         to_input ? dx_.data() : nullptr)
                               .Annotate(name_));
  }
  if (to_input) {
    TransposeBlocks(shape_.steps, shape_.samples, shape_.input_size, dx_.data(),
                    pass.input_gradient);
  }
  return Status();
}

Result<std::unique_ptr<Layer>> MakeRecurrent(const std::string& name, const RecurrentSpec& spec,
                                             const Dims& input, const LayerSetting& setting) {
  const auto refuse = [&](const std::string& why) {
    return Status(Code::kInvalidArgument, fmt::format("{} (recurrent): {}", name, why));
  };
  if (input.size() < 2) {
    return refuse(
        fmt::format("input {}, expected a sequence, time steps x features", DimsText(input)));
  }
  if (spec.size < 1 || spec.size > kRecurrentSizeMax) {
    return refuse(fmt::format("size={}, expected 1 to {}", spec.size, kRecurrentSizeMax));
  }
  const RecurrentShape shape = {.cell = spec.cell,
                                .samples = setting.micro_batch,
                                .steps = input[0],
                                .input_size = ElementsOf(input) / input[0],
                                .size = spec.size,
                                .last_only = spec.last_only,
                                .precision = setting.precision};
  if (shape.gates() * shape.size > kStepValuesMax / shape.steps / shape.samples) {
    return refuse(
        fmt::format("size={} over {} steps of micro_batch={} samples exceeds 2^32 values; "
                    "choose a smaller micro_batch",
                    spec.size, shape.steps, shape.samples));
  }
  return std::unique_ptr<Layer>(std::make_unique<Recurrent>(name, spec, shape));
}

}  // namespace drover
