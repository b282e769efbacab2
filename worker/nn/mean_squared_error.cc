#include "worker/nn/mean_squared_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/nn/class_labels.h"

namespace drover {
namespace {

constexpr int64_t kClassesMax = int64_t{1} << 20;

}  // namespace

Status MeanSquaredError::Check(const Batch& batch) const {
  if (classes_ > 0) return CheckLabels(batch, classes_).Annotate("mean squared error");
  if (batch.targets == nullptr) {
    return Status(Code::kInvalidArgument, "mean squared error: the dataset has no targets");
  }
  return Status();
}

Result<BatchResult> MeanSquaredError::Run(const HeadPass& pass) {
  const int64_t samples = pass.batch->samples;
  BatchResult result;
  result.samples = samples;
  for (int64_t sample = 0; sample < samples; ++sample) {
    const int64_t row = sample * outputs_;
    const float* const output = pass.input + row;
    float* const gradient = pass.input_gradient == nullptr ? nullptr : pass.input_gradient + row;
    const int64_t label = classes_ > 0 ? pass.batch->labels[sample] : 0;
    result.loss_sum += MeanSquaredErrorSampleCpu(
        output, outputs_, classes_ > 0 ? nullptr : pass.batch->targets + row, label, gradient);
    if (classes_ > 0 && IndexOfLargest(output, outputs_) == label) ++result.correct;
  }
  if (pass.input_gradient != nullptr) {
    std::fill(pass.input_gradient + samples * outputs_,
              pass.input_gradient + micro_batch_ * outputs_, 0.0f);
  }
  return result;
}

Result<std::unique_ptr<Head>> MakeMeanSquaredError(const MeanSquaredErrorSpec& spec,
                                                   const Dims& input, const LayerSetting& setting) {
  if (spec.classes != 0 && (spec.classes < 2 || spec.classes > kClassesMax)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("mean squared error: classes={}, expected 2 to {}, or 0 for targets",
                              spec.classes, kClassesMax));
  }
  if (spec.classes != 0 && input != Dims{spec.classes}) {
    return Status(Code::kInvalidArgument,
                  fmt::format("mean squared error: the last layer makes {}, expected one value for "
                              "each of {} classes",
                              DimsText(input), spec.classes));
  }
  return std::unique_ptr<Head>(
      std::make_unique<MeanSquaredError>(setting.micro_batch, ElementsOf(input), spec.classes));
}

}  // namespace drover
