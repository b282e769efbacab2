#include "worker/nn/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/nn/gemm.h"

namespace drover {
namespace {

constexpr int64_t kProbabilitiesMax = int64_t{1} << 32;  // 16 GiB.

// In the order of tensors().
enum Part : size_t { kQuery, kKey, kValue, kOutput, kParts };
constexpr const char* kPartNames[kParts] = {".self.query", ".self.key", ".self.value",
                                            ".output.dense"};

}  // namespace

Attention::Attention(std::string name, const AttentionSpec& spec, const Dims& input,
                     const LayerSetting& setting)
    : name_(std::move(name)),
      spec_(spec),
      dims_(input),
      micro_batch_(setting.micro_batch),
      tokens_(input[0]),
      size_(input[1]),
      head_size_(input[1] / spec.heads),
      shape_({.rows = setting.micro_batch * input[0],
              .input_size = input[1],
              .output_size = input[1],
              .precision = setting.precision}),
      mask_(name_, spec.dropout),
      probabilities_(static_cast<size_t>(micro_batch_ * spec.heads * tokens_ * tokens_)),
      scratch_(static_cast<size_t>(tokens_ * tokens_)) {
  for (std::vector<float>* values : {&query_, &key_, &value_, &context_}) {
    values->resize(static_cast<size_t>(shape_.rows * size_));
  }
  for (std::vector<float>* values : {&query_gradient_, &key_gradient_, &value_gradient_}) {
    values->resize(static_cast<size_t>(tokens_ * head_size_));
  }
}

std::vector<TensorSpec> Attention::tensors() const {
  std::vector<TensorSpec> tensors;
  for (const char* part : kPartNames) {
    tensors.push_back({.name = name_ + part + ".weight",
                       .shape = {size_, size_},
                       .init = MakeInitRule(spec_.weight_init, size_, size_)});
    tensors.push_back({.name = name_ + part + ".bias", .shape = {size_}, .init = {}});
  }
  return tensors;
}

int64_t Attention::LengthOf(const Batch& batch, int64_t sample) const {
  if (batch.lengths == nullptr) return tokens_;
  return std::clamp<int64_t>(batch.lengths[sample], 1, tokens_);
}

Attention::Head Attention::HeadOf(const Batch& batch, int64_t sample, int64_t head) {
  return {
      .length = LengthOf(batch, sample),
      .offset = sample * tokens_ * size_ + head * head_size_,
      .probabilities = probabilities_.data() + (sample * spec_.heads + head) * tokens_ * tokens_};
}

void Attention::ZeroPadding(const Batch& batch, int64_t sample, std::vector<float>* values) const {
  const int64_t length = LengthOf(batch, sample);
  std::fill_n(values->begin() + (sample * tokens_ + length) * size_, (tokens_ - length) * size_,
              0.0f);
}

void Attention::Drop(const Batch& batch, int64_t sample, int64_t head, const Head& of) const {
  const uint64_t first = static_cast<uint64_t>(head * ((tokens_ * tokens_ + 3) / 4 * 4));
  mask_.StrikeOut({batch.seed, batch.positions[sample]}, first, of.length * of.length,
                  of.probabilities);
}

const float* Attention::Kept(const Head& head) {
  if (!dropping_) return head.probabilities;
  KeptProbabilitiesCpu(head.length * head.length, mask_.scale(), head.probabilities,
                       scratch_.data());
  return scratch_.data();
}

Status Attention::HeadForward(const Head& head) {
  const int64_t n = head.length;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_size_)));
  DROVER_RETURN_IF_ERROR(
      Gemm({n, n, head_size_, shape_.precision}, scale, {query_.data() + head.offset, size_},
           {key_.data() + head.offset, size_, /*transposed=*/true}, 0.0f, {head.probabilities, n}));
  SoftmaxRowsCpu(n, n, head.probabilities);
  return Status();
}

Status Attention::Forward(const ForwardPass& pass) {
  float* const outputs[] = {query_.data(), key_.data(), value_.data()};
  for (const size_t part : {kQuery, kKey, kValue}) {
    DROVER_RETURN_IF_ERROR(LinearForwardCpu(shape_, pass.input, pass.weights[2 * part],
                                            pass.weights[2 * part + 1], outputs[part])
                               .Annotate(name_));
  }
  dropping_ = pass.training && spec_.dropout > 0.0;
  for (int64_t sample = 0; sample < micro_batch_; ++sample) {
    for (int64_t h = 0; h < spec_.heads; ++h) {
      const Head head = HeadOf(*pass.batch, sample, h);
      DROVER_RETURN_IF_ERROR(HeadForward(head).Annotate(name_));
      if (dropping_) Drop(*pass.batch, sample, h, head);
      DROVER_RETURN_IF_ERROR(Gemm({head.length, head_size_, head.length, shape_.precision}, 1.0f,
                                  {Kept(head), head.length}, {value_.data() + head.offset, size_},
                                  0.0f, {context_.data() + head.offset, size_})
                                 .Annotate(name_));
    }
    ZeroPadding(*pass.batch, sample, &context_);
  }
  return LinearForwardCpu(shape_, context_.data(), pass.weights[2 * kOutput],
                          pass.weights[2 * kOutput + 1], pass.output)
      .Annotate(name_);
}

Status Attention::HeadBackward(const Head& head) {
  const int64_t n = head.length;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_size_)));
  const ConstMatrix context_gradient = {context_.data() + head.offset, size_};
  float* const query = query_.data() + head.offset;
  float* const key = key_.data() + head.offset;
  float* const value = value_.data() + head.offset;
  DROVER_RETURN_IF_ERROR(Gemm({n, head_size_, n, shape_.precision}, 1.0f,
                              {Kept(head), n, /*transposed=*/true}, context_gradient, 0.0f,
                              {value_gradient_.data(), head_size_}));
  DROVER_RETURN_IF_ERROR(Gemm({n, n, head_size_, shape_.precision}, 1.0f, context_gradient,
                              {value, size_, /*transposed=*/true}, 0.0f, {scratch_.data(), n}));
  SoftmaxRowsBackwardCpu(n, n, dropping_ ? mask_.scale() : 1.0f, head.probabilities,
                         scratch_.data());
  DROVER_RETURN_IF_ERROR(Gemm({n, head_size_, n, shape_.precision}, scale, {scratch_.data(), n},
                              {key, size_}, 0.0f, {query_gradient_.data(), head_size_}));
  DROVER_RETURN_IF_ERROR(Gemm({n, head_size_, n, shape_.precision}, scale,
                              {scratch_.data(), n, /*transposed=*/true}, {query, size_}, 0.0f,
                              {key_gradient_.data(), head_size_}));
  for (int64_t row = 0; row < n; ++row) {
    const int64_t from = row * head_size_;
    std::copy_n(query_gradient_.data() + from, head_size_, query + row * size_);
    std::copy_n(key_gradient_.data() + from, head_size_, key + row * size_);
    std::copy_n(value_gradient_.data() + from, head_size_, value + row * size_);
  }
  return Status();
}

Status Attention::BackwardInputs(const BackwardPass& pass) {
  const float* const gradients[] = {query_.data(), key_.data(), value_.data()};
  for (const size_t part : {kQuery, kKey, kValue}) {
    const GradientSum& weight = pass.weight_gradients[2 * part];
    DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(shape_, pass.input, gradients[part],
                                                    weight.accumulate, weight.values,
                                                    pass.weight_gradients[2 * part + 1].values));
    if (pass.input_gradient == nullptr) continue;
    DROVER_RETURN_IF_ERROR(Gemm({shape_.rows, size_, size_, shape_.precision}, 1.0f,
                                {gradients[part], size_}, {pass.weights[2 * part], size_},
                                part == kQuery ? 0.0f : 1.0f, {pass.input_gradient, size_}));
  }
  return Status();
}

Status Attention::Backward(const BackwardPass& pass) {
  const GradientSum& weight = pass.weight_gradients[2 * kOutput];
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(shape_, context_.data(), pass.output_gradient,
                                                  weight.accumulate, weight.values,
                                                  pass.weight_gradients[2 * kOutput + 1].values)
                             .Annotate(name_));
  DROVER_RETURN_IF_ERROR(LinearBackwardDataCpu(shape_, pass.output_gradient,
                                               pass.weights[2 * kOutput], context_.data())
                             .Annotate(name_));
  for (int64_t sample = 0; sample < micro_batch_; ++sample) {
    for (int64_t h = 0; h < spec_.heads; ++h) {
      DROVER_RETURN_IF_ERROR(HeadBackward(HeadOf(*pass.batch, sample, h)).Annotate(name_));
    }
    for (std::vector<float>* values : {&query_, &key_, &value_}) {
      ZeroPadding(*pass.batch, sample, values);
    }
  }
  return BackwardInputs(pass).Annotate(name_);
}

Result<std::unique_ptr<Layer>> MakeAttention(const std::string& name, const AttentionSpec& spec,
                                             const Dims& input, const LayerSetting& setting) {
  const auto refuse = [&name](const std::string& what) {
    return Status(Code::kInvalidArgument, fmt::format("{} (attention): {}", name, what));
  };
  if (input.size() != 2) {
    return refuse(fmt::format("its input is {}, expected a sequence of rows", DimsText(input)));
  }
  if (spec.heads < 1 || input[1] % spec.heads != 0) {
    return refuse(fmt::format("{} heads, expected a divisor of the size {}", spec.heads, input[1]));
  }
  if (!(spec.dropout >= 0.0 && spec.dropout < 1.0)) {
    return refuse(fmt::format("dropout={}, expected 0 to below 1", spec.dropout));
  }
  if (spec.heads * input[0] * input[0] > kProbabilitiesMax / setting.micro_batch) {
    return refuse(
        fmt::format("the weights of {} heads over {} tokens in micro_batch={} samples "
                    "exceed 2^32; choose a smaller micro_batch",
                    spec.heads, input[0], setting.micro_batch));
  }
  return std::unique_ptr<Layer>(std::make_unique<Attention>(name, spec, input, setting));
}

}  // namespace drover
