#include "worker/nn/bert_pretraining.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "worker/nn/embedding.h"
#include "worker/nn/gemm.h"
#include "worker/nn/softmax_cross_entropy.h"
#include "worker/nn/tanh.h"

namespace drover {
namespace {

constexpr int64_t kPredictionsMax = int64_t{1} << 20;
constexpr int64_t kLogitsMax = int64_t{1} << 22;  // 16 MiB at a time.

// In the order of tensors(): the transform's stand at its end.
enum Use : size_t {
  kWords,
  kWordBias,
  kPooler,
  kPoolerBias,
  kSentence,
  kSentenceBias,
  kTransform,
};

InitRule NormalInit(double deviation) {
  return {.kind = InitRule::Kind::kNormal, .value = static_cast<float>(deviation)};
}

// Rows of logits at a time: a function of constants, so that shapes, and with them bits, are fixed.
int64_t RowsAtATime(int64_t vocabulary) { return std::max<int64_t>(1, kLogitsMax / vocabulary); }

}  // namespace

BertPretraining::BertPretraining(const BertPretrainingSpec& spec, std::unique_ptr<Chain> transform,
                                 const Dims& input, const LayerSetting& setting)
    : spec_(spec),
      transform_(std::move(transform)),
      micro_batch_(setting.micro_batch),
      tokens_(input[0]),
      size_(input[1]),
      pooler_shape_({.rows = micro_batch_,
                     .input_size = size_,
                     .output_size = size_,
                     .precision = setting.precision}),
      sentence_shape_({.rows = micro_batch_,
                       .input_size = size_,
                       .output_size = 2,
                       .precision = setting.precision}) {
  const int64_t entries = micro_batch_ * spec.predictions;
  const auto sized = [](int64_t count) { return std::vector<float>(static_cast<size_t>(count)); };
  for (std::vector<float>* values : {&masked_, &masked_gradient_, &z_gradient_}) {
    *values = sized(entries * size_);
  }
  logits_ = sized(std::min(entries, RowsAtATime(spec.words.vocabulary)) * spec.words.vocabulary);
  for (std::vector<float>* values : {&first_, &pooled_, &pooled_gradient_}) {
    *values = sized(micro_batch_ * size_);
  }
  sentence_logits_ = sized(micro_batch_ * 2);
  sentence_gradient_ = sized(micro_batch_ * 2);
}

std::vector<TensorSpec> BertPretraining::tensors() const {
  std::vector<TensorSpec> tensors = {
      WordEmbeddingTensor(spec_.embedding, spec_.words),
      {.name = "cls.predictions.bias", .shape = {spec_.words.vocabulary}, .init = {}},
      {.name = "bert.pooler.dense.weight",
       .shape = {size_, size_},
       .init = NormalInit(spec_.words.deviation)},
      {.name = "bert.pooler.dense.bias", .shape = {size_}, .init = {}},
      {.name = "cls.seq_relationship.weight",
       .shape = {2, size_},
       .init = NormalInit(spec_.words.deviation)},
      {.name = "cls.seq_relationship.bias", .shape = {2}, .init = {}}};
  for (const TensorSpec& tensor : transform_->tensors()) tensors.push_back(tensor);
  return tensors;
}

Status BertPretraining::Check(const Batch& batch) const {
  if (batch.tokens == nullptr || batch.masked_positions == nullptr ||
      batch.masked_labels == nullptr || batch.labels == nullptr) {
    return Status(Code::kInvalidArgument,
                  "BERT: the dataset has no sentence pairs with masked tokens; it must be text");
  }
  for (int64_t sample = 0; sample < batch.samples; ++sample) {
    if (batch.labels[sample] < 0 || batch.labels[sample] > 1) {
      return Status(Code::kInvalidArgument,
                    fmt::format("next-sentence label {} of sample {}, expected 0 or 1",
                                batch.labels[sample], sample));
    }
    const int64_t length = batch.lengths == nullptr ? tokens_ : batch.lengths[sample];
    for (int64_t i = 0; i < spec_.predictions; ++i) {
      const int32_t label = batch.masked_labels[sample * spec_.predictions + i];
      const int32_t position = batch.masked_positions[sample * spec_.predictions + i];
      if (label == -1) continue;
      if (label < 0 || label >= spec_.words.vocabulary) {
        return Status(Code::kInvalidArgument,
                      fmt::format("label {} of masked token {} of sample {}, expected 0 to {}, or "
                                  "-1 for none: was the text made with the vocabulary of this "
                                  "model?",
                                  label, i, sample, spec_.words.vocabulary - 1));
      }
      if (position < 0 || position >= length) {
        return Status(Code::kInvalidArgument,
                      fmt::format("position {} of masked token {} of sample {}, expected 0 to {}",
                                  position, i, sample, length - 1));
      }
    }
  }
  return Status();
}

bool BertPretraining::IsAsked(const Batch& batch, int64_t entry) const {
  return entry < batch.samples * spec_.predictions && batch.masked_labels[entry] >= 0;
}

void BertPretraining::GatherMasked(const HeadPass& pass) {
  for (int64_t entry = 0; entry < micro_batch_ * spec_.predictions; ++entry) {
    float* row = masked_.data() + entry * size_;
    if (!IsAsked(*pass.batch, entry)) {
      std::fill_n(row, size_, 0.0f);
      continue;
    }
    const int64_t sample = entry / spec_.predictions;
    const int64_t token = sample * tokens_ + pass.batch->masked_positions[entry];
    std::copy_n(pass.input + token * size_, size_, row);
  }
}

Status BertPretraining::DecodeRows(const HeadPass& pass, int64_t first, int64_t rows,
                                   BatchResult* result) {
  const int64_t vocabulary = spec_.words.vocabulary;
  const float* const z = transform_->output() + first * size_;
  DROVER_RETURN_IF_ERROR(LinearForwardCpu({rows, size_, vocabulary, pooler_shape_.precision}, z,
                                          pass.weights[kWords], pass.weights[kWordBias],
                                          logits_.data()));
  for (int64_t entry = first; entry < first + rows; ++entry) {
    float* const row = logits_.data() + (entry - first) * vocabulary;
    if (!IsAsked(*pass.batch, entry)) {
      std::fill_n(row, vocabulary, 0.0f);
      continue;
    }
    const int32_t* const labels =
        pass.batch->masked_labels + entry / spec_.predictions * spec_.predictions;
    const int64_t asked = spec_.predictions - std::count(labels, labels + spec_.predictions, -1);
    const double share = 1.0 / static_cast<double>(asked);
    bool correct = false;
    const double loss = MaskedTokenLossCpu(vocabulary, pass.batch->masked_labels[entry],
                                           static_cast<float>(share), row, &correct);
    result->loss_sum += loss * share;
    result->masked_loss_sum += loss;
    result->masked_tokens += 1;
    if (correct) result->masked_correct += 1;
  }
  if (pass.input_gradient == nullptr) return Status();
  // The first rows store, unless others began the sum, the rest add.
  const GradientSum& words = pass.weight_gradients[kWords];
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(
      {rows, size_, vocabulary, pooler_shape_.precision}, z, logits_.data(),
      words.accumulate || first > 0, words.values, pass.weight_gradients[kWordBias].values));
  return LinearBackwardDataCpu({rows, size_, vocabulary, pooler_shape_.precision}, logits_.data(),
                               pass.weights[kWords], z_gradient_.data() + first * size_);
}

Status BertPretraining::RunDecoder(const HeadPass& pass, BatchResult* result) {
  GatherMasked(pass);
  DROVER_RETURN_IF_ERROR(transform_->Forward({.batch = pass.batch,
                                              .training = pass.training,
                                              .input = masked_.data(),
                                              .weights = pass.weights.subspan(kTransform),
                                              .output = nullptr}));
  const int64_t entries = micro_batch_ * spec_.predictions;
  const int64_t rows = RowsAtATime(spec_.words.vocabulary);
  for (int64_t first = 0; first < entries; first += rows) {
    DROVER_RETURN_IF_ERROR(DecodeRows(pass, first, std::min(rows, entries - first), result));
  }
  return Status();
}

Status BertPretraining::BackwardMasked(const HeadPass& pass) {
  DROVER_RETURN_IF_ERROR(
      transform_->Backward({.batch = pass.batch,
                            .input = masked_.data(),
                            .output = nullptr,
                            .weights = pass.weights.subspan(kTransform),
                            .output_gradient = z_gradient_.data(),
                            .input_gradient = masked_gradient_.data(),
                            .weight_gradients = pass.weight_gradients.subspan(kTransform)},
                           {}));
  for (int64_t entry = 0; entry < micro_batch_ * spec_.predictions; ++entry) {
    if (!IsAsked(*pass.batch, entry)) continue;
    const int64_t sample = entry / spec_.predictions;
    const int64_t token = sample * tokens_ + pass.batch->masked_positions[entry];
    AddRowCpu(masked_gradient_.data() + entry * size_, size_, pass.input_gradient + token * size_);
  }
  return Status();
}

Status BertPretraining::RunNextSentence(const HeadPass& pass, BatchResult* result) {
  for (int64_t sample = 0; sample < micro_batch_; ++sample) {
    std::copy_n(pass.input + sample * tokens_ * size_, size_, first_.data() + sample * size_);
  }
  DROVER_RETURN_IF_ERROR(LinearForwardCpu(pooler_shape_, first_.data(), pass.weights[kPooler],
                                          pass.weights[kPoolerBias], pooled_.data()));
  TanhForwardCpu(micro_batch_ * size_, pooled_.data(), pooled_.data());
  DROVER_RETURN_IF_ERROR(LinearForwardCpu(sentence_shape_, pooled_.data(), pass.weights[kSentence],
                                          pass.weights[kSentenceBias], sentence_logits_.data()));
  std::ranges::fill(sentence_gradient_, 0.0f);
  for (int64_t sample = 0; sample < pass.batch->samples; ++sample) {
    bool correct = false;
    result->loss_sum += SoftmaxCrossEntropySampleCpu(sentence_logits_.data() + sample * 2, 2,
                                                     pass.batch->labels[sample], &correct,
                                                     sentence_gradient_.data() + sample * 2);
    if (correct) result->correct += 1;
  }
  result->samples = pass.batch->samples;
  return Status();
}

Status BertPretraining::BackwardNextSentence(const HeadPass& pass) {
  const std::span<const GradientSum> sums = pass.weight_gradients;
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(
      sentence_shape_, pooled_.data(), sentence_gradient_.data(), sums[kSentence].accumulate,
      sums[kSentence].values, sums[kSentenceBias].values));
  DROVER_RETURN_IF_ERROR(LinearBackwardDataCpu(sentence_shape_, sentence_gradient_.data(),
                                               pass.weights[kSentence], pooled_gradient_.data()));
  TanhBackwardCpu(micro_batch_ * size_, pooled_.data(), pooled_gradient_.data(),
                  pooled_gradient_.data());
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(pooler_shape_, first_.data(),
                                                  pooled_gradient_.data(), sums[kPooler].accumulate,
                                                  sums[kPooler].values, sums[kPoolerBias].values));
  // first_ is needed no more: it becomes its gradient.
  DROVER_RETURN_IF_ERROR(LinearBackwardDataCpu(pooler_shape_, pooled_gradient_.data(),
                                               pass.weights[kPooler], first_.data()));
  for (int64_t sample = 0; sample < micro_batch_; ++sample) {
    AddRowCpu(first_.data() + sample * size_, size_,
              pass.input_gradient + sample * tokens_ * size_);
  }
  return Status();
}

Result<BatchResult> BertPretraining::Run(const HeadPass& pass) {
  BatchResult result;
  DROVER_RETURN_IF_ERROR(RunDecoder(pass, &result).Annotate("masked tokens"));
  DROVER_RETURN_IF_ERROR(RunNextSentence(pass, &result).Annotate("next sentence"));
  if (pass.input_gradient == nullptr) return result;
  std::fill_n(pass.input_gradient, micro_batch_ * tokens_ * size_, 0.0f);
  DROVER_RETURN_IF_ERROR(BackwardMasked(pass).Annotate("masked tokens"));
  DROVER_RETURN_IF_ERROR(BackwardNextSentence(pass).Annotate("next sentence"));
  return result;
}

std::vector<LayerSpec> BertTransformLayers(const BertPretrainingSpec& spec, int64_t size) {
  return {{.name = "cls.predictions.transform.dense",
           .kind = DenseSpec{.size = size,
                             .weight_init = {WeightInit::Kind::kNormal, spec.words.deviation}}},
          {.name = "", .kind = GeluSpec{}},
          {.name = "cls.predictions.transform.LayerNorm",
           .kind = LayerNormSpec{.epsilon = spec.epsilon}}};
}

Result<std::unique_ptr<Head>> MakeBertPretraining(const BertPretrainingSpec& spec,
                                                  const Dims& input, const LayerSetting& setting) {
  const auto refuse = [](const std::string& what) {
    return Status(Code::kInvalidArgument, "BERT's pre-training: " + what);
  };
  if (input.size() != 2 || input[1] != spec.words.size) {
    return refuse(
        fmt::format("the last layer makes {}, expected rows of {} values, as the word "
                    "embedding has",
                    DimsText(input), spec.words.size));
  }
  if (spec.words.vocabulary < 1 || spec.predictions < 1 || spec.predictions > kPredictionsMax) {
    return refuse(
        fmt::format("a vocabulary of {} tokens and {} masked ones per sample, expected "
                    "at least 1 of each: is the dataset text?",
                    spec.words.vocabulary, spec.predictions));
  }
  Result<std::unique_ptr<Chain>> transform =
      Chain::Make(BertTransformLayers(spec, input[1]), {spec.predictions, input[1]}, setting);
  if (!transform.ok()) return transform.status().Annotate("BERT's pre-training");
  return std::unique_ptr<Head>(
      std::make_unique<BertPretraining>(spec, std::move(transform).value(), input, setting));
}

}  // namespace drover
