#include "server/shard/gpu_weight_arrays.h"

#include <span>
#include <utility>

#include "common/base/check.h"
#include "server/optim/update_gpu.h"
#include "server/optim/update_plan.h"

namespace drover {
namespace {

// Copies `values` to the device, in a buffer that grows when it must.
template <typename T>
Status UploadTo(const GpuStream& stream, std::span<const T> values, DeviceBuffer<T>* buffer) {
  if (buffer->size() < values.size()) {
    Result<DeviceBuffer<T>> made = DeviceBuffer<T>::Make(stream.device(), values.size());
    if (!made.ok()) return made.status();
    *buffer = std::move(made).value();
  }
  return CopyToDevice(stream, values, buffer->data());
}

UpdatePlan PlanOf(const GpuRange& range, std::span<const uint32_t> tensor_groups) {
  return MakeUpdatePlan(*range.layout, range.owned, tensor_groups);
}

}  // namespace

Result<std::unique_ptr<GpuWeightArrays>> GpuWeightArrays::Make(std::shared_ptr<GpuRange> range) {
  Result<GpuStream> stream = GpuStream::Open(range->device);
  if (!stream.ok()) return stream.status();
  const std::vector<uint32_t> no_groups(range->layout->tensors().size(), 0);
  const size_t strips = PlanOf(*range, no_groups).strips.size();
  Result<DeviceBuffer<BlockNorms>> strip_norms =
      DeviceBuffer<BlockNorms>::Make(range->device, strips);
  if (!strip_norms.ok()) return strip_norms.status();
  Result<DeviceBuffer<BlockNorms>> block_norms =
      DeviceBuffer<BlockNorms>::Make(range->device, range->owned.size());
  if (!block_norms.ok()) return block_norms.status();
  return std::unique_ptr<GpuWeightArrays>(
      new GpuWeightArrays(std::move(range), std::move(stream).value(),
                          std::move(strip_norms).value(), std::move(block_norms).value()));
}

GpuWeightArrays::GpuWeightArrays(std::shared_ptr<GpuRange> range, GpuStream stream,
                                 DeviceBuffer<BlockNorms> strip_norms,
                                 DeviceBuffer<BlockNorms> block_norms)
    : range_(std::move(range)),
      stream_(std::move(stream)),
      strip_norms_(std::move(strip_norms)),
      block_norms_(std::move(block_norms)) {}

std::vector<float*> GpuWeightArrays::StateToFill() {
  std::vector<float*> arrays;
  while (host_state_.size() < range_->state.size()) {
    host_state_.push_back(FloatBuffer::Zeroed(range_->elements));
  }
  for (FloatBuffer& array : host_state_) arrays.push_back(array.data());
  return arrays;
}

void GpuWeightArrays::Begin(const FloatBuffer& weights) {
  (void)StateToFill();  // Zeros, if nobody has filled it.
  const auto upload = [&]() -> Status {
    DROVER_RETURN_IF_ERROR(CopyToDevice(stream_, weights.span(), range_->weights.data()));
    for (size_t i = 0; i < host_state_.size(); ++i) {
      DROVER_RETURN_IF_ERROR(CopyToDevice(stream_, host_state_[i].span(), range_->state[i].data()));
    }
    return stream_.Wait();
  };
  EndProcessUnless(upload(), "copying weights and state to it");
  host_state_.clear();
}

std::vector<const float*> GpuWeightArrays::State() {
  std::vector<const float*> arrays;
  const auto download = [&]() -> Status {
    for (const float* array : StateToFill()) arrays.push_back(array);
    for (size_t i = 0; i < host_state_.size(); ++i) {
      DROVER_RETURN_IF_ERROR(CopyToHost(stream_, range_->state[i].data(), host_state_[i].span()));
    }
    return stream_.Wait();
  };
  EndProcessUnless(download(), "copying the state from it");
  return arrays;
}

Status GpuWeightArrays::Upload(const UpdateNumbers& numbers) {
  if (!plan_.has_value() || tensor_groups_ != numbers.tensor_groups) {
    Result<UpdatePlanOnGpu> plan =
        UpdatePlanOnGpu::Copy(PlanOf(*range_, numbers.tensor_groups), stream_);
    if (!plan.ok()) return plan.status();
    plan_ = std::move(plan).value();
    tensor_groups_ = numbers.tensor_groups;
  }
  UpdateStep step;
  step.lookahead = numbers.lookahead;
  std::vector<UpdateGroup> groups(numbers.groups.size());
  for (size_t i = 0; i < groups.size(); ++i) groups[i].scalars = numbers.groups[i];
  DROVER_RETURN_IF_ERROR(UploadTo<UpdateStep>(stream_, {&step, 1}, &numbers_.step));
  DROVER_RETURN_IF_ERROR(UploadTo<UpdateGroup>(stream_, groups, &numbers_.groups));
  DROVER_RETURN_IF_ERROR(UploadTo<float>(stream_, numbers.tensor_scales, &numbers_.tensor_scales));
  return stream_.Wait();  // What was copied goes now.
}

UpdateArrays GpuWeightArrays::ArraysOnGpu() const {
  UpdateArrays arrays = {};
  arrays.weight = range_->weights.data();
  arrays.next_weight = range_->weights.data();
  arrays.gradient = range_->mean.data();
  const auto slots = static_cast<size_t>(InfoOf(range_->rule.rule).slots);
  for (size_t slot = 0; slot < slots; ++slot) arrays.slot[slot] = range_->state[slot].data();
  if (range_->rule.lookahead) arrays.slow = range_->state.back().data();
  return arrays;
}

MeasuredSquares GpuWeightArrays::Measure(const UpdateNumbers& numbers, const FloatBuffer&,
                                         const Accumulator&) {
  host_state_.clear();
  std::vector<BlockNorms> norms(range_->owned.size());
  const auto measure = [&]() -> Status {
    DROVER_RETURN_IF_ERROR(Upload(numbers));
    DROVER_RETURN_IF_ERROR(MeasureOnGpu(
        range_->rule.rule, plan_->tables(), {numbers_.step.data(), numbers_.groups.data()},
        ArraysOnGpu(), strip_norms_.data(), block_norms_.data(), stream_));
    DROVER_RETURN_IF_ERROR(CopyToHost(stream_, block_norms_.data(), norms));
    return stream_.Wait();
  };
  EndProcessUnless(measure(), "measuring an update");
  MeasuredSquares squares;
  for (const BlockNorms& block : norms) {
    squares.weight.push_back(block.weight);
    squares.direction.push_back(block.direction);
  }
  return squares;
}

void GpuWeightArrays::Apply(const UpdateNumbers& numbers, const FloatBuffer&, const Accumulator&,
                            FloatBuffer* next) {
  host_state_.clear();
  const auto apply = [&]() -> Status {
    DROVER_RETURN_IF_ERROR(Upload(numbers));
    DROVER_RETURN_IF_ERROR(ApplyOnGpu(range_->rule.rule, plan_->tables(),
                                      {numbers_.step.data(), numbers_.groups.data()}, ArraysOnGpu(),
                                      numbers_.tensor_scales.data(), stream_));
    DROVER_RETURN_IF_ERROR(CopyToHost(stream_, range_->weights.data(), next->span()));
    return stream_.Wait();
  };
  EndProcessUnless(apply(), "applying an update");
}

size_t GpuWeightArrays::bytes() const {
  size_t bytes = range_->weights.bytes() + strip_norms_.bytes() + block_norms_.bytes();
  for (const DeviceBuffer<float>& array : range_->state) bytes += array.bytes();
  for (const FloatBuffer& array : host_state_) bytes += array.bytes();
  return bytes;
}

}  // namespace drover
