#include "worker/nn/bert_pretraining_gpu.h"

#include <algorithm>
#include <utility>

#include "worker/nn/bert_pretraining.h"
#include "worker/nn/column_sums_gpu.h"
#include "worker/nn/softmax_rows_gpu.h"

namespace drover {
namespace {

// In the order of tensors(), as in bert_pretraining.cc.
enum Use : size_t { kWords, kWordBias, kSentence, kTransform = kSentence + 4 };

// Rows of logits begin at multiples of 128 bytes or more, whatever the vocabulary.
constexpr int64_t kLogitsAlignment = 64;

MaskedEntries EntriesOf(const Batch& batch, int64_t micro_batch, int64_t tokens, int64_t entries,
                        int64_t size) {
  return {.micro_batch = micro_batch,
          .samples = batch.samples,
          .tokens = tokens,
          .entries = entries,
          .size = size,
          .labels = batch.masked_labels,
          .positions = batch.masked_positions};
}

// Entries are not tokens of a sequence: a layer must not take their number for a length.
Batch WithoutLengths(const Batch& batch) {
  Batch copy = batch;
  copy.lengths = nullptr;
  return copy;
}

}  // namespace

BertPretrainingGpu::BertPretrainingGpu(const Head& same, const BertPretrainingSpec& spec,
                                       std::unique_ptr<GpuChain> transform,
                                       std::unique_ptr<GpuChain> sentence, const Dims& input,
                                       const LayerSetting& setting, int64_t logits_max)
    : GpuHead(same),
      spec_(spec),
      transform_(std::move(transform)),
      sentence_(std::move(sentence)),
      type_(ActivationType(setting.precision)),
      micro_batch_(setting.micro_batch),
      entries_(micro_batch_ * spec.predictions),
      tokens_(input[0]),
      size_(input[1]),
      logits_stride_((spec.words.vocabulary + kLogitsAlignment - 1) / kLogitsAlignment *
                     kLogitsAlignment),
      rows_at_a_time_(std::clamp<int64_t>(logits_max / logits_stride_, 1, entries_)) {
  const auto take = [this](size_t bytes) {
    const size_t offset = scratch_bytes_;
    scratch_bytes_ += AlignedBytes(bytes);
    return offset;
  };
  const auto of = [](int64_t count, size_t bytes) { return static_cast<size_t>(count) * bytes; };
  const size_t value = BytesOf(type_);
  const int64_t logits = rows_at_a_time_ * logits_stride_;
  at_.masked = take(of(entries_ * size_, value));
  at_.masked_gradient = take(of(entries_ * size_, value));
  at_.z_gradient = take(of(entries_ * size_, value));
  at_.logits = take(of(logits, sizeof(float)));
  at_.logits_gradient = type_ == ValueType::kF32 ? at_.logits : take(of(logits, value));
  at_.bias_sums = take(ColumnSumsScratchBytes(rows_at_a_time_, spec.words.vocabulary));
  at_.first = take(of(micro_batch_ * size_, value));
  at_.first_gradient = take(of(micro_batch_ * size_, value));
  at_.answer_gradient = take(of(micro_batch_ * 2, value));
  at_.shares = take(of(micro_batch_, sizeof(double)));
  at_.masked_losses = take(of(entries_, sizeof(LossRow)));
  at_.sentence_losses = take(of(micro_batch_, sizeof(LossRow)));
  at_.transform_kept = take(transform_->bytes().kept);
  at_.sentence_kept = take(sentence_->bytes().kept);
  at_.chain_scratch = take(std::max(transform_->bytes().scratch, sentence_->bytes().scratch));
}

Status BertPretrainingGpu::DecodeRows(const GpuHeadPass& pass, int64_t first, int64_t rows) {
  const int64_t vocabulary = spec_.words.vocabulary;
  const GpuValues logits = {pass.scratch + at_.logits, ValueType::kF32};
  const bool wanted = pass.input_gradient.data != nullptr;
  DROVER_RETURN_IF_ERROR(pass.lane.products->Multiply(
      {.m = rows,
       .n = vocabulary,
       .k = size_,
       .a = {transform_->output() + first * size_, size_},
       .b = {pass.weights[kWords].As(type_), size_, /*transposed=*/true},
       .c = {logits, logits_stride_},
       .bias = pass.weights[kWordBias].As(ValueType::kF32)},
      *pass.lane.stream));
  // Rows of this slice that are of real samples.
  const int64_t real = pass.batch->samples * spec_.predictions - first;
  const auto* const labels = pass.batch->masked_labels + first;
  const auto* const shares = reinterpret_cast<const double*>(pass.scratch + at_.shares);
  auto* const losses = reinterpret_cast<LossRow*>(pass.scratch + at_.masked_losses) + first;
  return SoftmaxRowsOnGpu({.rows = rows,
                           .real_rows = real,
                           .classes = vocabulary,
                           .stride = logits_stride_,
                           .logits = logits,
                           .gradient = wanted ? At(pass, at_.logits_gradient) : GpuValues{},
                           .labels = labels,
                           .shares = shares,
                           .first_row = first,
                           .rows_per_share = spec_.predictions,
                           .losses = losses},
                          *pass.lane.stream);
}

Status BertPretrainingGpu::DecodeBackward(const GpuHeadPass& pass, int64_t first, int64_t rows) {
  const int64_t vocabulary = spec_.words.vocabulary;
  const ConstGpuValues gradient = At(pass, at_.logits_gradient);
  // The first rows store, unless others began the sum; the rest add.
  const GradientSum& words = pass.weight_gradients[kWords];
  const GradientSum& bias = pass.weight_gradients[kWordBias];
  DROVER_RETURN_IF_ERROR(ColumnSumsOnGpu(rows, vocabulary, ConstGpuMatrix{gradient, logits_stride_},
                                         {bias.values, bias.accumulate || first > 0},
                                         reinterpret_cast<float*>(pass.scratch + at_.bias_sums),
                                         *pass.lane.stream));
  DROVER_RETURN_IF_ERROR(
      pass.lane.products->Multiply({.m = vocabulary,
                                    .n = size_,
                                    .k = rows,
                                    .a = {gradient, logits_stride_, /*transposed=*/true},
                                    .b = {transform_->output() + first * size_, size_},
                                    .c = {{words.values, ValueType::kF32}, size_},
                                    .accumulate = words.accumulate || first > 0},
                                   *pass.lane.stream));
  return pass.lane.products->Multiply({.m = rows,
                                       .n = size_,
                                       .k = vocabulary,
                                       .a = {gradient, logits_stride_},
                                       .b = {pass.weights[kWords].As(type_), size_},
                                       .c = {At(pass, at_.z_gradient) + first * size_, size_}},
                                      *pass.lane.stream);
}

Status BertPretrainingGpu::RunDecoder(const GpuHeadPass& pass) {
  const Batch batch = WithoutLengths(*pass.batch);
  DROVER_RETURN_IF_ERROR(transform_->Forward({.lane = pass.lane,
                                              .batch = &batch,
                                              .training = pass.training,
                                              .input = At(pass, at_.masked),
                                              .weights = pass.weights.subspan(kTransform),
                                              .output = {},
                                              .kept = pass.scratch + at_.transform_kept,
                                              .scratch = pass.scratch + at_.chain_scratch}));
  for (int64_t first = 0; first < entries_; first += rows_at_a_time_) {
    const int64_t rows = std::min(rows_at_a_time_, entries_ - first);
    DROVER_RETURN_IF_ERROR(DecodeRows(pass, first, rows));
    if (pass.input_gradient.data == nullptr) continue;
    DROVER_RETURN_IF_ERROR(DecodeBackward(pass, first, rows));
  }
  return Status();
}

Status BertPretrainingGpu::RunSentence(const GpuHeadPass& pass) {
  const Batch batch = WithoutLengths(*pass.batch);
  DROVER_RETURN_IF_ERROR(sentence_->Forward({.lane = pass.lane,
                                             .batch = &batch,
                                             .training = pass.training,
                                             .input = At(pass, at_.first),
                                             .weights = pass.weights.subspan(kSentence, 4),
                                             .output = {},
                                             .kept = pass.scratch + at_.sentence_kept,
                                             .scratch = pass.scratch + at_.chain_scratch}));
  const bool wanted = pass.input_gradient.data != nullptr;
  return SoftmaxRowsOnGpu(
      {.rows = micro_batch_,
       .real_rows = pass.batch->samples,
       .classes = 2,
       .stride = 2,
       .logits = sentence_->output(),
       .gradient = wanted ? At(pass, at_.answer_gradient) : GpuValues{},
       .labels = pass.batch->labels,
       .shares = nullptr,
       .first_row = 0,
       .rows_per_share = 1,
       .losses = reinterpret_cast<LossRow*>(pass.scratch + at_.sentence_losses)},
      *pass.lane.stream);
}

Status BertPretrainingGpu::BackwardChain(const GpuHeadPass& pass, GpuChain* chain,
                                         size_t first_tensor, size_t input, size_t output_gradient,
                                         size_t input_gradient, size_t kept) {
  const Batch batch = WithoutLengths(*pass.batch);
  const size_t tensors = chain->tensors().size();
  return chain->Backward({.lane = pass.lane,
                          .batch = &batch,
                          .input = At(pass, input),
                          .output = {},
                          .weights = pass.weights.subspan(first_tensor, tensors),
                          .output_gradient = At(pass, output_gradient),
                          .input_gradient = At(pass, input_gradient),
                          .weight_gradients = pass.weight_gradients.subspan(first_tensor, tensors),
                          .kept = pass.scratch + kept,
                          .scratch = pass.scratch + at_.chain_scratch},
                         {});
}

Status BertPretrainingGpu::Run(const GpuHeadPass& pass) {
  const GpuStream& stream = *pass.lane.stream;
  const MaskedEntries masked =
      EntriesOf(*pass.batch, micro_batch_, tokens_, spec_.predictions, size_);
  auto* const shares = reinterpret_cast<double*>(pass.scratch + at_.shares);
  DROVER_RETURN_IF_ERROR(MaskedSharesOnGpu(masked, shares, stream));
  DROVER_RETURN_IF_ERROR(
      GatherRowsOnGpu(masked, pass.input, At(pass, at_.masked), At(pass, at_.first), stream));
  DROVER_RETURN_IF_ERROR(RunDecoder(pass).Annotate("masked tokens"));
  DROVER_RETURN_IF_ERROR(RunSentence(pass).Annotate("next sentence"));
  DROVER_RETURN_IF_ERROR(AddLossRowsOnGpu(
      {.samples = reinterpret_cast<const LossRow*>(pass.scratch + at_.sentence_losses),
       .sample_count = micro_batch_,
       .masked = reinterpret_cast<const LossRow*>(pass.scratch + at_.masked_losses),
       .masked_count = entries_,
       .shares = shares,
       .entries_per_sample = spec_.predictions},
      pass.result, stream));
  if (pass.input_gradient.data == nullptr) return Status();

  DROVER_RETURN_IF_ERROR(BackwardChain(pass, transform_.get(), kTransform, at_.masked,
                                       at_.z_gradient, at_.masked_gradient, at_.transform_kept)
                             .Annotate("masked tokens"));
  DROVER_RETURN_IF_ERROR(BackwardChain(pass, sentence_.get(), kSentence, at_.first,
                                       at_.answer_gradient, at_.first_gradient, at_.sentence_kept)
                             .Annotate("next sentence"));
  return ScatterRowsOnGpu(masked, At(pass, at_.masked_gradient), At(pass, at_.first_gradient),
                          pass.input_gradient, stream);
}

Result<std::unique_ptr<GpuHead>> MakeBertPretrainingGpu(const Head& same,
                                                        const BertPretrainingSpec& spec,
                                                        const Dims& input,
                                                        const LayerSetting& setting,
                                                        int64_t logits_max) {
  Result<std::unique_ptr<GpuChain>> transform =
      GpuChain::Make(BertTransformLayers(spec, input[1]), {spec.predictions, input[1]}, setting);
  if (!transform.ok()) return transform.status().Annotate("BERT's pre-training");
  const std::vector<LayerSpec> layers = {
      {.name = "bert.pooler.dense", .kind = DenseSpec{.size = input[1]}},
      {.name = "", .kind = TanhSpec{}},
      {.name = "cls.seq_relationship", .kind = DenseSpec{.size = 2}}};
  Result<std::unique_ptr<GpuChain>> sentence = GpuChain::Make(layers, {input[1]}, setting);
  if (!sentence.ok()) return sentence.status().Annotate("BERT's pre-training");
  return std::unique_ptr<GpuHead>(std::make_unique<BertPretrainingGpu>(
      same, spec, std::move(transform).value(), std::move(sentence).value(), input, setting,
      logits_max));
}

}  // namespace drover
