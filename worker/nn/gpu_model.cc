#include "worker/nn/gpu_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/gpu/device.h"
#include "common/tensor/accumulate_gpu.h"
#include "worker/nn/embedding.h"
#include "worker/nn/gpu_model_device.h"
#include "worker/nn/gpu_model_plan.h"
#include "worker/nn/gpu_weights_inlet.h"
#include "worker/nn/layer_table.h"
#include "worker/nn/padded_batch.h"
#include "worker/nn/rounding_gpu.h"

namespace drover {
namespace {

class GpuModel : public LeafModel {
 public:
  GpuModel(const NetworkSpec& network, const LayerSetting& setting, GpuModelParts parts,
           std::unique_ptr<Head> head_on_host, const GpuModelPlan& plan, GpuModelDevice device,
           std::shared_ptr<GpuWeightsInlet> inlet);

  const Layout& layout() const override { return parts_.plan.layout; }
  int64_t micro_batch() const override { return setting_.micro_batch; }
  bool adds_leaves() const override { return true; }
  Status BeginLeaf(LeafWork work) override;
  Status Add(const Batch& batch, bool last) override;
  Result<LeafResult> EndLeaf() override;
  Result<BatchResult> Evaluate(int64_t version, WeightsView weights, const Batch& batch) override;

 private:
  template <typename T>
  T* At(size_t offset) const {
    return reinterpret_cast<T*>(device_.memory.data() + offset);
  }
  Status CheckBatch(const Batch& batch) const;
  Status BringWeights(int64_t version, WeightsView weights);
  // Waits: `weights` may go afterwards.
  Status BringFromHost(WeightsView weights);
  Status MakeRoomForResults(size_t count);
  Status Forward(const Batch& batch, bool training, GpuBatchResult* result);
  Status Backward(const Batch& batch, bool last);
  Status Train(const Batch& batch, bool last);
  Status TrainByGraph(const Batch& batch);
  Status TensorFinal(size_t tensor);
  // Of what TensorFinal has enqueued.
  Status BringTensor(size_t tensor);
  // To whoever waits for it, when it has been brought.
  Status PassOn(size_t tensor);
  Result<std::optional<BadElement>> FirstBad();
  ConstGpuValues InputOf(const Batch& batch) const;
  Result<std::vector<BatchResult>> Results();
  BatchResult ResultOf(size_t micro_batch) const;

  const LayerSetting setting_;
  const LayerSpec first_;  // Of the network.
  const bool reads_tokens_;
  const int64_t input_size_;
  const GpuModelParts parts_;
  const std::unique_ptr<Head> head_on_host_;  // Knows which labels are good.
  const GpuModelPlan plan_;
  GpuModelDevice device_;
  const std::shared_ptr<GpuWeightsInlet> inlet_;  // May be null.
  PaddedBatch padded_;
  std::vector<GpuWeight> weights_;  // One per use.
  std::vector<GradientSum> gradient_sums_;

  std::optional<int64_t> version_;  // Of the weights on the device.
  LeafWork work_;
  std::vector<int64_t> samples_;          // Of each micro-batch so far.
  DeviceBuffer<GpuBatchResult> results_;  // Likewise.
  PinnedBuffer<GpuBatchResult> results_on_host_;
  // Of each slot of batches; the first micro-batch of a leaf stores, the others add.
  struct Recorded {
    bool has_run = false;
    std::optional<GpuGraph> graph;
  };
  Recorded recorded_[GpuBatches::kSlots][2];
  std::vector<size_t> finals_;  // Tensors in the order in which they become whole.
};

GpuModel::GpuModel(const NetworkSpec& network, const LayerSetting& setting, GpuModelParts parts,
                   std::unique_ptr<Head> head_on_host, const GpuModelPlan& plan,
                   GpuModelDevice device, std::shared_ptr<GpuWeightsInlet> inlet)
    : setting_(setting),
      first_(network.layers.empty() ? LayerSpec() : network.layers.front()),
      reads_tokens_(network.vocabulary > 0),
      input_size_(ElementsOf(network.input)),
      parts_(std::move(parts)),
      head_on_host_(std::move(head_on_host)),
      plan_(plan),
      device_(std::move(device)),
      inlet_(std::move(inlet)),
      padded_(setting.micro_batch, parts_.sizes) {
  const bool is_bf16 = ActivationType(setting.precision) == ValueType::kBf16;
  for (const TensorUse& use : parts_.plan.uses) {
    const uint64_t offset = layout().tensor_offset(use.tensor);
    weights_.push_back({At<float>(plan_.weights) + offset,
                        is_bf16 ? At<uint16_t>(plan_.rounded_weights) + offset : nullptr});
    gradient_sums_.push_back({At<float>(plan_.gradient) + offset, false});
  }
}

Status GpuModel::CheckBatch(const Batch& batch) const {
  if (batch.samples < 1 || batch.samples > setting_.micro_batch) {
    return Status(Code::kInvalidArgument, fmt::format("micro-batch of {} samples, expected 1 to {}",
                                                      batch.samples, setting_.micro_batch));
  }
  if (const auto* words = std::get_if<EmbeddingSpec>(&first_.kind)) {
    DROVER_RETURN_IF_ERROR(CheckTokens(*words, first_.name, batch, input_size_));
  }
  return head_on_host_->Check(batch);
}

Status GpuModel::BringWeights(int64_t version, WeightsView weights) {
  if (version_ == version) return Status();
  version_.reset();
  const bool is_bf16 = ActivationType(setting_.precision) == ValueType::kBf16;
  const WeightsOnGpu to = {At<float>(plan_.weights),
                           is_bf16 ? At<uint16_t>(plan_.rounded_weights) : nullptr};
  const Result<bool> handed =
      inlet_ == nullptr ? false : inlet_->Hand(version, to, device_.compute);
  if (!handed.ok()) return handed.status();
  if (!handed.value()) DROVER_RETURN_IF_ERROR(BringFromHost(weights));
  version_ = version;
  return Status();
}

Status GpuModel::BringFromHost(WeightsView weights) {
  const size_t elements = layout().SpanElements(layout().all_blocks());
  DROVER_RETURN_IF_ERROR(
      CopyToDevice(device_.compute, std::span(weights.values, elements), At<float>(plan_.weights)));
  for (const ElementRange& range : weights.packed) {
    // By way of the gradient, which no leaf needs any more.
    uint16_t* const packed = At<uint16_t>(plan_.gradient) + range.begin;
    DROVER_RETURN_IF_ERROR(CopyToDevice(
        device_.compute, std::span(PackedBf16(weights.values, range), range.size()), packed));
    DROVER_RETURN_IF_ERROR(WidenBf16OnGpu(static_cast<int64_t>(range.size()), packed,
                                          At<float>(plan_.weights) + range.begin, nullptr,
                                          device_.compute));
  }
  if (ActivationType(setting_.precision) == ValueType::kBf16) {
    DROVER_RETURN_IF_ERROR(RoundToBf16OnGpu(static_cast<int64_t>(elements),
                                            At<float>(plan_.weights),
                                            At<uint16_t>(plan_.rounded_weights), device_.compute));
  }
  return device_.compute.Wait();
}

// Doubles: a job has one number of micro-batches per leaf, so this allocates in its first step
// only.
Status GpuModel::MakeRoomForResults(size_t count) {
  if (count <= results_.size()) return Status();
  const size_t size = std::max<size_t>(2 * results_.size(), 64);
  DROVER_RETURN_IF_ERROR(device_.compute.Wait());
  Result<DeviceBuffer<GpuBatchResult>> results =
      DeviceBuffer<GpuBatchResult>::Make(device_.compute.device(), size);
  if (!results.ok()) return results.status();
  Result<PinnedBuffer<GpuBatchResult>> on_host =
      PinnedBuffer<GpuBatchResult>::Make(device_.compute.device(), size);
  if (!on_host.ok()) return on_host.status();
  DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(device_.compute, results.value().data(), results_.data(),
                                           results_.bytes()));
  DROVER_RETURN_IF_ERROR(device_.compute.Wait());
  results_ = std::move(results).value();
  results_on_host_ = std::move(on_host).value();
  return Status();
}

ConstGpuValues GpuModel::InputOf(const Batch& batch) const {
  const ValueType type = ActivationType(setting_.precision);
  if (reads_tokens_) return {nullptr, type};
  if (type == ValueType::kF32) return {batch.inputs, type};
  return {At<std::byte>(plan_.input), type};
}

Status GpuModel::Forward(const Batch& batch, bool training, GpuBatchResult* result) {
  const ConstGpuValues input = InputOf(batch);
  if (!reads_tokens_ && input.type == ValueType::kBf16) {
    DROVER_RETURN_IF_ERROR(RoundToBf16OnGpu(setting_.micro_batch * input_size_, batch.inputs,
                                            At<uint16_t>(plan_.input), device_.compute));
  }
  const GpuLane lane = {&device_.compute, device_.products.get()};
  const std::span<const GpuWeight> weights = weights_;
  const std::span<const GradientSum> sums = gradient_sums_;
  const size_t chain_uses = parts_.chain->tensors().size();
  DROVER_RETURN_IF_ERROR(parts_.chain->Forward({.lane = lane,
                                                .batch = &batch,
                                                .training = training,
                                                .input = input,
                                                .weights = weights.first(chain_uses),
                                                .output = {},
                                                .kept = At<std::byte>(plan_.kept),
                                                .scratch = At<std::byte>(plan_.scratch)}));
  const GpuValues output_gradient = {training ? At<std::byte>(plan_.output_gradient) : nullptr,
                                     ActivationType(setting_.precision)};
  return parts_.head->Run(
      {.lane = lane,
       .batch = &batch,
       .training = training,
       .input = parts_.chain->output(),
       .weights = weights.subspan(chain_uses),
       .input_gradient = output_gradient,
       .weight_gradients = training ? sums.subspan(chain_uses) : std::span<const GradientSum>(),
       .result = result,
       .scratch = At<std::byte>(plan_.scratch)});
}

Status GpuModel::TensorFinal(size_t tensor) {
  finals_.push_back(tensor);
  if (work_.sums) {
    const uint64_t offset = layout().tensor_offset(tensor);
    const AccumulateInput leaf = {At<float>(plan_.gradient) + offset, GradientEncoding::kF32,
                                  work_.sums->limit, 0};
    DROVER_RETURN_IF_ERROR(
        AccumulateOnGpu({&leaf, 1}, static_cast<uint32_t>(layout().tensor_size(tensor)),
                        work_.sums->first, work_.sums->scale, At<int64_t>(plan_.sums) + offset,
                        device_.bad.data() + tensor, device_.compute));
  }
  return device_.tensors[tensor].Record(device_.compute);
}

Status GpuModel::Backward(const Batch& batch, bool last) {
  const size_t chain_uses = parts_.chain->tensors().size();
  const auto on_written = [&](size_t use) {
    const TensorUse& of = parts_.plan.uses[use];
    return last && of.writes_last ? TensorFinal(of.tensor) : Status();
  };
  for (size_t use = parts_.plan.uses.size(); use-- > chain_uses;) {
    DROVER_RETURN_IF_ERROR(on_written(use));
  }
  const ValueType type = ActivationType(setting_.precision);
  return parts_.chain->Backward(
      {.lane = {&device_.compute, device_.products.get()},
       .batch = &batch,
       .input = InputOf(batch),
       .output = {},
       .weights = std::span<const GpuWeight>(weights_).first(chain_uses),
       .output_gradient = {At<std::byte>(plan_.output_gradient), type},
       .input_gradient = {nullptr, type},
       .weight_gradients = std::span<const GradientSum>(gradient_sums_).first(chain_uses),
       .kept = At<std::byte>(plan_.kept),
       .scratch = At<std::byte>(plan_.scratch)},
      on_written);
}

Status GpuModel::BeginLeaf(LeafWork work) {
  work_ = std::move(work);
  samples_.clear();
  finals_.clear();
  return BringWeights(work_.version, work_.weights);
}

Status GpuModel::Train(const Batch& batch, bool last) {
  DROVER_RETURN_IF_ERROR(Forward(batch, /*training=*/true, device_.result.data()));
  return Backward(batch, last);
}

// All micro-batches but the last of a leaf enqueue the same, but for where the batch lies and
// whether gradients are stored or added; the seed is that of the job. The first of a kind runs by
// itself: what loads a kernel or chooses an algorithm need not be allowed while a stream records.
Status GpuModel::TrainByGraph(const Batch& batch) {
  Recorded& recorded = recorded_[device_.batches.slot()][samples_.empty() ? 0 : 1];
  if (!recorded.has_run) {
    recorded.has_run = true;
    return Train(batch, /*last=*/false);
  }
  if (!recorded.graph) {
    Result<GpuGraph> captured =
        GpuGraph::Capture(device_.compute, [&] { return Train(batch, /*last=*/false); });
    if (!captured.ok()) return captured.status();
    recorded.graph.emplace(std::move(captured).value());
  }
  return recorded.graph->Launch(device_.compute);
}

Status GpuModel::Add(const Batch& batch, bool last) {
  DROVER_RETURN_IF_ERROR(CheckBatch(batch));
  DROVER_RETURN_IF_ERROR(MakeRoomForResults(samples_.size() + 1));
  const Result<Batch> brought = device_.batches.Bring(*padded_.Pad(batch), device_.compute);
  if (!brought.ok()) return brought.status();
  for (size_t i = 0; i < gradient_sums_.size(); ++i) {
    gradient_sums_[i].accumulate = !samples_.empty() || !parts_.plan.uses[i].writes_first;
  }
  if (last || batch.samples < setting_.micro_batch) {
    DROVER_RETURN_IF_ERROR(Train(brought.value(), last));
  } else {
    DROVER_RETURN_IF_ERROR(TrainByGraph(brought.value()));
  }
  DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(device_.compute, results_.data() + samples_.size(),
                                           device_.result.data(), sizeof(GpuBatchResult)));
  samples_.push_back(batch.samples);
  return device_.batches.Done(device_.compute);
}

BatchResult GpuModel::ResultOf(size_t micro_batch) const {
  const GpuBatchResult& result = results_on_host_.data()[micro_batch];
  return {.loss_sum = result.loss_sum,
          .correct = result.correct,
          .samples = samples_[micro_batch],
          .masked_loss_sum = result.masked_loss_sum,
          .masked_tokens = result.masked_tokens,
          .masked_correct = result.masked_correct};
}

Status GpuModel::BringTensor(size_t tensor) {
  const uint64_t offset = layout().tensor_offset(tensor);
  const size_t size = layout().tensor_size(tensor);
  if (!work_.sums) {
    return CopyToHost(device_.downloads, At<float>(plan_.gradient) + offset,
                      std::span(work_.gradient + offset, size));
  }
  DROVER_RETURN_IF_ERROR(CopyToHost(device_.downloads, device_.bad.data() + tensor,
                                    device_.bad_on_host.span().subspan(tensor, 1)));
  if (!work_.sums->last || work_.sums->deposit) return Status();
  return CopyToHost(device_.downloads, At<int64_t>(plan_.sums) + offset,
                    std::span(work_.sums->sums + offset, size));
}

Status GpuModel::PassOn(size_t tensor) {
  if (!work_.sums) {
    if (work_.on_final) work_.on_final(tensor);
    return Status();
  }
  if (device_.bad_on_host.data()[tensor] != kNoBadElement) return Status();
  if (work_.sums->deposit) {
    return work_.sums->deposit(tensor, device_.downloads, At<int64_t>(plan_.sums));
  }
  if (work_.sums->on_final) work_.sums->on_final(tensor);
  return Status();
}

Result<std::optional<BadElement>> GpuModel::FirstBad() {
  if (!work_.sums) return std::optional<BadElement>();
  for (const size_t tensor : finals_) {
    const uint32_t element = device_.bad_on_host.data()[tensor];
    if (element == kNoBadElement) continue;
    BadElement bad = {tensor, element, 0.0f};
    const float* const where = At<float>(plan_.gradient) + layout().tensor_offset(tensor) + element;
    DROVER_RETURN_IF_ERROR(CopyToHost(device_.compute, where, std::span(&bad.value, 1)));
    DROVER_RETURN_IF_ERROR(device_.compute.Wait());
    return std::optional<BadElement>(bad);
  }
  return std::optional<BadElement>();
}

Result<LeafResult> GpuModel::EndLeaf() {
  // Each tensor as soon as it is whole, while the layers before it are still at work.
  for (const size_t tensor : finals_) {
    DROVER_RETURN_IF_ERROR(device_.tensors[tensor].Hold(device_.downloads));
    DROVER_RETURN_IF_ERROR(BringTensor(tensor));
    if (work_.sums && !work_.sums->last) continue;
    DROVER_RETURN_IF_ERROR(device_.downloads.Wait());
    DROVER_RETURN_IF_ERROR(PassOn(tensor));
  }
  DROVER_RETURN_IF_ERROR(device_.downloads.Wait());
  Result<std::vector<BatchResult>> results = Results();
  if (!results.ok()) return results.status();
  const Result<std::optional<BadElement>> bad = FirstBad();
  if (!bad.ok()) return bad.status();
  return LeafResult{std::move(results).value(), bad.value()};
}

Result<std::vector<BatchResult>> GpuModel::Results() {
  DROVER_RETURN_IF_ERROR(
      CopyToHost(device_.compute, results_.data(), results_on_host_.span().first(samples_.size())));
  DROVER_RETURN_IF_ERROR(device_.compute.Wait());
  std::vector<BatchResult> results;
  for (size_t i = 0; i < samples_.size(); ++i) results.push_back(ResultOf(i));
  return results;
}

Result<BatchResult> GpuModel::Evaluate(int64_t version, WeightsView weights, const Batch& batch) {
  DROVER_RETURN_IF_ERROR(CheckBatch(batch));
  DROVER_RETURN_IF_ERROR(BeginLeaf({.version = version, .weights = weights}));
  DROVER_RETURN_IF_ERROR(MakeRoomForResults(1));
  const Result<Batch> brought = device_.batches.Bring(*padded_.Pad(batch), device_.compute);
  if (!brought.ok()) return brought.status();
  DROVER_RETURN_IF_ERROR(Forward(brought.value(), /*training=*/false, results_.data()));
  DROVER_RETURN_IF_ERROR(device_.batches.Done(device_.compute));
  samples_.push_back(batch.samples);
  const Result<std::vector<BatchResult>> results = Results();
  if (!results.ok()) return results.status();
  return results.value().front();
}

}  // namespace

std::shared_ptr<GpuWeightsInlet> MakeGpuWeightsInlet(int device) {
  return std::make_shared<GpuWeightsInlet>(device);
}

Result<std::unique_ptr<LeafModel>> MakeGpuLeafModel(
    int device, std::unique_ptr<GpuProducts> products, const NetworkSpec& network,
    const LayerSetting& setting, std::shared_ptr<GpuWeightsInlet> inlet, bool recompute) {
  Result<GpuModelParts> parts = MakeGpuModelParts(network, setting, recompute);
  if (!parts.ok()) return parts.status().Annotate("model");
  Result<std::unique_ptr<Head>> head_on_host =
      MakeHead(network.head, parts.value().chain->output_dims(),
               {.micro_batch = 1, .precision = setting.precision});
  if (!head_on_host.ok()) return head_on_host.status().Annotate("model");
  const GpuModelPlan plan = PlanGpuMemory(parts.value(), network, setting);
  Result<GpuModelDevice> opened = OpenGpuModelDevice(device, parts.value(), plan, network, setting,
                                                     std::move(products), inlet.get(), recompute);
  if (!opened.ok()) return opened.status();
  return std::unique_ptr<LeafModel>(std::make_unique<GpuModel>(
      network, setting, std::move(parts).value(), std::move(head_on_host).value(), plan,
      std::move(opened).value(), std::move(inlet)));
}

}  // namespace drover
