#include "tests/gpu/gpu_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "common/tensor/fixed_point.h"
#include "server/optim/lookahead.h"
#include "server/optim/mean_gpu.h"
#include "server/optim/step_scalars.h"
#include "server/optim/trust_ratio.h"

namespace drover {
namespace {

// A test cannot go on without its device.
void Must(const Status& status) { DROVER_CHECK(status.ok()); }

Layout LayoutOf(const std::vector<std::vector<float>>& tensors) {
  std::vector<TensorSpec> specs;
  for (const std::vector<float>& tensor : tensors) {
    specs.push_back(
        {"t" + std::to_string(specs.size()), {static_cast<int64_t>(tensor.size())}, {}});
  }
  return Layout::Make(std::move(specs)).value();
}

UpdatePlan PlanOf(const Layout& layout) {
  std::vector<uint32_t> groups(layout.tensors().size());
  std::iota(groups.begin(), groups.end(), 0u);
  return MakeUpdatePlan(layout, layout.all_blocks(), groups);
}

template <typename T>
DeviceBuffer<T> Zeros(const GpuStream& stream, size_t size) {
  DeviceBuffer<T> buffer = DeviceBuffer<T>::Make(stream.device(), size).value();
  Must(ZeroBytes(stream, buffer.data(), buffer.bytes()));
  return buffer;
}

template <typename T>
DeviceBuffer<T> Uninitialised(const GpuStream& stream, size_t size) {
  return DeviceBuffer<T>::Make(stream.device(), size).value();
}

}  // namespace

GpuModel::GpuModel(OptimizerSettings settings, const std::vector<std::vector<float>>& initial,
                   std::vector<GroupSettings> groups, Options options)
    : settings_(std::move(settings)),
      groups_(std::move(groups)),
      options_(options),
      layout_(LayoutOf(initial)),
      plan_(PlanOf(layout_)),
      stream_(GpuStream::Open(0).value()),
      tables_(UpdatePlanOnGpu::Copy(plan_, stream_).value()) {
  const size_t elements = plan_.elements;
  const size_t tensors = initial.size();
  weight_ = Zeros<float>(stream_, elements);
  next_weight_ = Zeros<float>(stream_, elements);
  gradient_ = Uninitialised<float>(stream_, elements);
  sums_ = Uninitialised<int64_t>(stream_, elements);
  for (size_t slot = 0; slot < static_cast<size_t>(InfoOf(settings_.rule).slots); ++slot) {
    slots_[slot] = Zeros<float>(stream_, elements);
  }
  if (settings_.lookahead_every != 0) slow_ = Zeros<float>(stream_, elements);
  if (options_.publish) published_ = Zeros<uint16_t>(stream_, elements);
  update_groups_ = Uninitialised<UpdateGroup>(stream_, tensors);
  step_ = Uninitialised<UpdateStep>(stream_, 1);
  tensor_scales_ = Uninitialised<float>(stream_, tensors);
  tensor_ratios_ = Uninitialised<TensorRatio>(stream_, tensors);
  strip_norms_ = Uninitialised<BlockNorms>(stream_, plan_.strips.size());
  block_norms_ = Uninitialised<BlockNorms>(stream_, layout_.block_count());
  strip_squares_ = Uninitialised<double>(stream_, plan_.strips.size());
  block_squares_ = Uninitialised<double>(stream_, layout_.block_count());
  ratios_.resize(tensors);
  for (size_t t = 0; t < tensors; ++t) {
    Must(CopyToDevice<float>(stream_, initial[t], weight_.data() + layout_.tensor_offset(t)));
  }
  if (options_.fused) {
    fused_ = FusedUpdate::Make(plan_, tables_, options_.multiprocessors, stream_).value();
  }
  Must(stream_.Wait());
}

template <typename T>
std::vector<T> GpuModel::Part(const DeviceBuffer<T>& buffer, size_t tensor) const {
  std::vector<T> part(layout_.tensor_size(tensor));
  Must(CopyToHost<T>(stream_, buffer.data() + layout_.tensor_offset(tensor), part));
  Must(stream_.Wait());
  return part;
}
template std::vector<float> GpuModel::Part(const DeviceBuffer<float>&, size_t) const;
template std::vector<uint16_t> GpuModel::Part(const DeviceBuffer<uint16_t>&, size_t) const;

double GpuModel::ClipFactorOf(const std::vector<double>& block_squares) const {
  double squares = 0.0;
  for (size_t t = 0; t < layout_.tensors().size(); ++t) {
    double tensor_squares = 0.0;
    const BlockRange blocks = layout_.tensor_blocks(t);
    for (uint32_t b = blocks.begin; b < blocks.end; ++b) tensor_squares += block_squares[b];
    squares += tensor_squares;
  }
  return ClipFactor(settings_, std::sqrt(squares));
}

UpdateArrays GpuModel::Prepare(int64_t update, double learning_rate,
                               const std::vector<std::vector<int64_t>>& sums, double mean_factor) {
  for (size_t t = 0; t < sums.size(); ++t) {
    Must(CopyToDevice<int64_t>(stream_, sums[t], sums_.data() + layout_.tensor_offset(t)));
  }
  std::vector<std::vector<float>> means;
  if (settings_.max_grad_norm != 0.0) {
    std::vector<double> squares(layout_.block_count());
    Must(ConvertOnGpu(tables_.tables(), sums_.data(), mean_factor, gradient_.data(),
                      strip_squares_.data(), block_squares_.data(), stream_));
    Must(CopyToHost<double>(stream_, block_squares_.data(), squares));
    Must(stream_.Wait());
    clip_factor_ = ClipFactorOf(squares);
  } else if (!options_.from_sums) {  // Faster on the emulator, and alike.
    for (size_t t = 0; t < sums.size(); ++t) {
      std::vector<float>& mean = means.emplace_back(sums[t].size());
      FixedPointPassesFor(BestIsa()).mean(sums[t].data(), mean.size(), mean_factor, mean.data());
      Must(CopyToDevice<float>(stream_, mean, gradient_.data() + layout_.tensor_offset(t)));
    }
  }
  std::vector<UpdateGroup> groups;
  for (const GroupSettings& group : groups_) {
    groups.push_back({ComputeStepScalars(settings_, group, update, learning_rate, clip_factor_),
                      TrustRatioTermsOf(settings_, group),
                      UpdateScaleTermsOf(settings_, group, update, learning_rate)});
  }
  const std::vector<UpdateStep> step = {{mean_factor, LookaheadStepOf(settings_, update)}};
  Must(CopyToDevice<UpdateGroup>(stream_, groups, update_groups_.data()));
  Must(CopyToDevice<UpdateStep>(stream_, step, step_.data()));
  Must(stream_.Wait());

  UpdateArrays arrays{};
  arrays.weight = weight_.data();
  arrays.next_weight = options_.in_place ? weight_.data() : next_weight_.data();
  arrays.gradient = options_.from_sums ? nullptr : gradient_.data();
  arrays.sums = options_.from_sums ? sums_.data() : nullptr;
  for (size_t slot = 0; slot < kSlotsMax; ++slot) arrays.slot[slot] = slots_[slot].data();
  arrays.slow = slow_.data();
  arrays.published = published_.data();
  return arrays;
}

std::vector<BlockNorms> GpuModel::Measure(double learning_rate,
                                          const std::vector<std::vector<int64_t>>& sums,
                                          double mean_factor) {
  const UpdateArrays arrays = Prepare(update_ + 1, learning_rate, sums, mean_factor);
  std::vector<BlockNorms> norms(layout_.block_count());
  Must(MeasureOnGpu(settings_.rule, tables_.tables(), {step_.data(), update_groups_.data()}, arrays,
                    strip_norms_.data(), block_norms_.data(), stream_));
  Must(CopyToHost<BlockNorms>(stream_, block_norms_.data(), norms));
  Must(stream_.Wait());
  return norms;
}

void GpuModel::Update(double learning_rate, const std::vector<std::vector<int64_t>>& sums,
                      double mean_factor) {
  ++update_;
  const UpdateArrays arrays = Prepare(update_, learning_rate, sums, mean_factor);
  Run(learning_rate, {step_.data(), update_groups_.data()}, arrays);
  Must(stream_.Wait());
  if (!options_.in_place) std::swap(weight_, next_weight_);
}

void GpuModel::Run(double learning_rate, const UpdateNumbersOnGpu& numbers,
                   const UpdateArrays& arrays) {
  const Rule rule = settings_.rule;
  if (fused_.has_value()) {
    Must(fused_->Run(rule, numbers, arrays, stream_));
    Must(CopyToHost<TensorRatio>(stream_, fused_->ratios(), ratios_));
    return;
  }
  std::vector<float> scales;
  if (InfoOf(rule).trust_ratio) {
    Must(MeasureOnGpu(rule, tables_.tables(), numbers, arrays, strip_norms_.data(),
                      /*block_norms=*/nullptr, stream_));
    Must(TrustRatiosOnGpu(tables_.tables(), numbers, strip_norms_.data(), tensor_scales_.data(),
                          tensor_ratios_.data(), stream_));
    Must(CopyToHost<TensorRatio>(stream_, tensor_ratios_.data(), ratios_));
  } else {
    for (const GroupSettings& group : groups_) {
      scales.push_back(static_cast<float>(
          UpdateScale(settings_, group, update_, learning_rate, /*trust_ratio=*/1.0)));
    }
    Must(CopyToDevice<float>(stream_, scales, tensor_scales_.data()));
  }
  Must(ApplyOnGpu(rule, tables_.tables(), numbers, arrays, tensor_scales_.data(), stream_));
  Must(stream_.Wait());  // The scales are this function's.
}

}  // namespace drover
