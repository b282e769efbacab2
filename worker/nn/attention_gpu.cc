#include "worker/nn/attention_gpu.h"

#include <fmt/format.h>

#include "common/base/check.h"
#include "worker/nn/column_sums_gpu.h"
#include "worker/nn/linear_gpu.h"

namespace drover {
namespace {

// In the order of tensors(): weight and bias of each.
enum Part : size_t { kQuery, kKey, kValue, kOutput, kParts };
constexpr int64_t kInputParts = 3;

}  // namespace

AttentionGpu::AttentionGpu(const Layer& same, const std::string& name, const AttentionSpec& spec,
                           const Dims& input, const LayerSetting& setting)
    : GpuLayer(same),
      heads_(spec.heads),
      tokens_(input[0]),
      size_(input[1]),
      shape_({.rows = setting.micro_batch * input[0],
              .input_size = input[1],
              .output_size = input[1],
              .precision = setting.precision}),
      type_(ActivationType(setting.precision)),
      dropout_(spec.dropout),
      mask_(name, spec.dropout),
      activation_bytes_(AlignedBytes(static_cast<size_t>(shape_.rows * size_) * BytesOf(type_))),
      gradients_bytes_(
          AlignedBytes(static_cast<size_t>(kInputParts * shape_.rows * size_) * BytesOf(type_))),
      weights_bytes_(
          AlignedBytes(static_cast<size_t>(kInputParts * size_ * size_) * BytesOf(type_))),
      row_sums_bytes_(AlignedBytes(static_cast<size_t>(shape_.rows * heads_) * sizeof(float))) {}

GpuBytes AttentionGpu::bytes() const {
  return {.kept = 4 * activation_bytes_ + row_sums_bytes_,
          .scratch = activation_bytes_ + gradients_bytes_ + weights_bytes_ + row_sums_bytes_ +
                     LinearScratchBytesGpu(shape_)};
}

AttentionGpu::Kept AttentionGpu::KeptAt(std::byte* memory) const {
  return {.query = {memory, type_},
          .key = {memory + activation_bytes_, type_},
          .value = {memory + 2 * activation_bytes_, type_},
          .context = {memory + 3 * activation_bytes_, type_},
          .log_sums = reinterpret_cast<float*>(memory + 4 * activation_bytes_)};
}

AttentionCall AttentionGpu::CallOf(const Batch& batch) const {
  return {.samples = shape_.rows / tokens_,
          .tokens = tokens_,
          .heads = heads_,
          .head_size = size_ / heads_,
          .lengths = batch.lengths,
          .positions = batch.positions,
          .dropping = dropping_,
          .dropout = mask_.draw(batch.seed)};
}

Status AttentionGpu::Forward(const GpuForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 * kParts);
  const Kept kept = KeptAt(pass.kept);
  const GpuValues outputs[] = {kept.query, kept.key, kept.value};
  for (const size_t part : {kQuery, kKey, kValue}) {
    DROVER_RETURN_IF_ERROR(LinearForwardGpu(pass.lane, shape_, pass.input, pass.weights[2 * part],
                                            pass.weights[2 * part + 1], outputs[part]));
  }
  dropping_ = pass.training && dropout_ > 0.0;
  DROVER_RETURN_IF_ERROR(AttentionForwardGpu(CallOf(*pass.batch), kept.query, kept.key, kept.value,
                                             kept.context, kept.log_sums, *pass.lane.stream));
  return LinearForwardGpu(pass.lane, shape_, kept.context, pass.weights[2 * kOutput],
                          pass.weights[2 * kOutput + 1], pass.output);
}

Status AttentionGpu::Backward(const GpuBackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 * kParts && pass.weight_gradients.size() == 2 * kParts);
  const Kept kept = KeptAt(pass.kept);
  const GpuValues context_gradient = {pass.scratch, type_};
  const GpuValues gradients = {pass.scratch + activation_bytes_, type_};
  std::byte* const dots = pass.scratch + activation_bytes_ + gradients_bytes_ + weights_bytes_;
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsGpu(
      pass.lane, shape_, kept.context, pass.output_gradient, pass.weight_gradients[2 * kOutput],
      pass.weight_gradients[2 * kOutput + 1], dots + row_sums_bytes_));
  DROVER_RETURN_IF_ERROR(LinearBackwardDataGpu(pass.lane, shape_, pass.output_gradient,
                                               pass.weights[2 * kOutput], context_gradient));
  DROVER_RETURN_IF_ERROR(AttentionBackwardGpu(CallOf(*pass.batch),
                                              {.query = kept.query,
                                               .key = kept.key,
                                               .value = kept.value,
                                               .context = kept.context,
                                               .context_gradient = context_gradient,
                                               .log_sums = kept.log_sums},
                                              reinterpret_cast<float*>(dots), gradients,
                                              *pass.lane.stream));
  return BackwardInputs(pass, gradients);
}

Status AttentionGpu::BackwardInputs(const GpuBackwardPass& pass, GpuValues gradients) const {
  const GpuStream& stream = *pass.lane.stream;
  std::byte* const weights = pass.scratch + activation_bytes_ + gradients_bytes_;
  std::byte* const linear = weights + weights_bytes_ + row_sums_bytes_;
  const size_t weight_bytes = static_cast<size_t>(size_ * size_) * BytesOf(type_);
  for (const size_t part : {kQuery, kKey, kValue}) {
    const ConstGpuMatrix gradient = {gradients + static_cast<int64_t>(part) * size_,
                                     kInputParts * size_};
    DROVER_RETURN_IF_ERROR(LinearBackwardWeightsGpu(pass.lane, shape_, pass.input, gradient,
                                                    pass.weight_gradients[2 * part],
                                                    pass.weight_gradients[2 * part + 1], linear));
    if (pass.input_gradient.data == nullptr) continue;
    DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(stream, weights + part * weight_bytes,
                                             pass.weights[2 * part].As(type_).data, weight_bytes));
  }
  if (pass.input_gradient.data == nullptr) return Status();
  return pass.lane.products->Multiply({.m = shape_.rows,
                                       .n = size_,
                                       .k = kInputParts * size_,
                                       .a = {gradients, kInputParts * size_},
                                       .b = {{weights, type_}, size_},
                                       .c = {pass.input_gradient, size_}},
                                      stream);
}

Result<std::unique_ptr<GpuLayer>> MakeAttentionGpu(const Layer& same, const std::string& name,
                                                   const AttentionSpec& spec, const Dims& input,
                                                   const LayerSetting& setting) {
  const int64_t head_size = input[1] / spec.heads;
  if (head_size > kAttentionHeadSizeMax) {
    return Status(Code::kUnimplemented,
                  fmt::format("{} (attention): heads of {} values, expected at most {} on a GPU; "
                              "use more heads, or device: cpu",
                              name, head_size, kAttentionHeadSizeMax));
  }
  return std::unique_ptr<GpuLayer>(
      std::make_unique<AttentionGpu>(same, name, spec, input, setting));
}

}  // namespace drover
