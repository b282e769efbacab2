#include "worker/nn/softmax_cross_entropy.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/nn/class_labels.h"

namespace drover {
namespace {

constexpr int64_t kClassesMax = int64_t{1} << 20;

}  // namespace

Status SoftmaxCrossEntropy::Check(const Batch& batch) const {
  return CheckLabels(batch, classes_).Annotate("softmax cross-entropy");
}

Result<BatchResult> SoftmaxCrossEntropy::Run(const HeadPass& pass) {
  const int64_t samples = pass.batch->samples;
  BatchResult result;
  result.samples = samples;
  for (int64_t sample = 0; sample < samples; ++sample) {
    const int64_t row = sample * classes_;
    bool correct = false;
    result.loss_sum += SoftmaxCrossEntropySampleCpu(
        pass.input + row, classes_, pass.batch->labels[sample], &correct,
        pass.input_gradient == nullptr ? nullptr : pass.input_gradient + row);
    if (correct) ++result.correct;
  }
  if (pass.input_gradient != nullptr) {
    std::fill(pass.input_gradient + samples * classes_,
              pass.input_gradient + micro_batch_ * classes_, 0.0f);
  }
  return result;
}

Result<std::unique_ptr<Head>> MakeSoftmaxCrossEntropy(const SoftmaxCrossEntropySpec& spec,
                                                      const Dims& input,
                                                      const LayerSetting& setting) {
  if (spec.classes < 2 || spec.classes > kClassesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("softmax cross-entropy: classes={}, expected 2 to {}", spec.classes,
                              kClassesMax));
  }
  if (input != Dims{spec.classes}) {
    return Status(Code::kInvalidArgument,
                  fmt::format("softmax cross-entropy: the last layer makes {}, expected one value "
                              "for each of {} classes",
                              DimsText(input), spec.classes));
  }
  return std::unique_ptr<Head>(
      std::make_unique<SoftmaxCrossEntropy>(setting.micro_batch, spec.classes));
}

}  // namespace drover
