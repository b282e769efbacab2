#include "worker/nn/flatten.h"

namespace drover {
namespace {

// [rows, columns] to [columns, rows], once per sample.
void Transpose(int64_t samples, int64_t rows, int64_t columns, const float* from, float* to) {
  for (int64_t sample = 0; sample < samples; ++sample) {
    const float* source = from + sample * rows * columns;
    float* target = to + sample * rows * columns;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        target[column * rows + row] = source[row * columns + column];
      }
    }
  }
}

}  // namespace

Flatten::Flatten(const Dims& input, int64_t micro_batch)
    : micro_batch_(micro_batch),
      pixels_(input.size() == 3 ? input[0] * input[1] : ElementsOf(input)),
      channels_(input.size() == 3 ? input[2] : 1),
      output_({pixels_ * channels_}) {}

Status Flatten::Forward(const ForwardPass& pass) {
  Transpose(micro_batch_, pixels_, channels_, pass.input, pass.output);
  return Status();
}

Status Flatten::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  Transpose(micro_batch_, channels_, pixels_, pass.output_gradient, pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeFlatten(const Dims& input, const LayerSetting& setting) {
  return std::unique_ptr<Layer>(std::make_unique<Flatten>(input, setting.micro_batch));
}

}  // namespace drover
