#include "tests/unit/worker/nn/gpu_layer_probe.h"

#include <cmath>
#include <numeric>

#include "common/tensor/bf16.h"
#include "worker/nn/gpu_layer_table.h"
#include "worker/nn/products_plain.h"

namespace drover {

std::vector<uint16_t> Bf16Bits(const std::vector<float>& values) {
  std::vector<uint16_t> rounded(values.size());
  RoundToBf16(values.data(), values.size(), rounded.data());
  return rounded;
}

void RoundValuesToBf16(std::vector<float>* values) {
  for (float& value : *values) value = FromBf16(ToBf16(value));
}

void ExpectClose(const std::string& what, const std::vector<float>& gpu,
                 const std::vector<float>& cpu, double tolerance) {
  ASSERT_EQ(gpu.size(), cpu.size()) << what;
  for (size_t i = 0; i < gpu.size(); ++i) {
    const double bound = tolerance * (1.0 + std::fabs(double{cpu[i]}));
    ASSERT_LE(std::fabs(double{gpu[i]} - double{cpu[i]}), bound)
        << what << "[" << i << "]: " << gpu[i] << " on the GPU, " << cpu[i] << " on the CPU";
  }
}

GpuArrays::GpuArrays() {
  Result<GpuStream> stream = GpuStream::Open(0);
  EXPECT_TRUE(stream.ok()) << stream.status().ToString();
  stream_ = std::make_unique<GpuStream>(std::move(stream).value());
}

std::byte* GpuArrays::Bytes(size_t bytes) {
  const std::vector<std::byte> nan(bytes, std::byte{0xff});
  return Copy(nan.data(), bytes);
}

void* GpuArrays::CopyBytes(const void* host, size_t bytes) {
  Result<GpuMemory> memory = GpuMemory::Make(GpuMemoryKind::kDevice, 0, bytes);
  EXPECT_TRUE(memory.ok()) << memory.status().ToString();
  memory_.push_back(std::move(memory).value());
  void* const device = memory_.back().data();
  if (bytes == 0) return device;
  EXPECT_TRUE(CopyBytesToDevice(*stream_, device, host, bytes).ok());
  EXPECT_TRUE(stream_->Wait().ok());  // `host` may go.
  return device;
}

void GpuArrays::ReadBytes(const void* device, void* host, size_t bytes) {
  if (bytes == 0) return;
  EXPECT_TRUE(CopyBytesToHost(*stream_, host, device, bytes).ok());
  const Status status = stream_->Wait();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

GpuValues GpuArrays::Values(const std::vector<float>& values, ValueType type) {
  if (type == ValueType::kF32) return {Copy(values.data(), values.size()), type};
  const std::vector<uint16_t> rounded = Bf16Bits(values);
  return {Copy(rounded.data(), rounded.size()), type};
}

std::vector<float> GpuArrays::Read(ConstGpuValues values, size_t count) {
  if (values.type == ValueType::kF32) return ReadAs(static_cast<const float*>(values.data), count);
  const std::vector<uint16_t> rounded = ReadAs(static_cast<const uint16_t*>(values.data), count);
  std::vector<float> wide(count);
  WidenBf16(rounded.data(), count, wide.data());
  return wide;
}

GpuWeight GpuArrays::Weight(const std::vector<float>& values, ValueType type) {
  const void* const rounded = type == ValueType::kBf16 ? Values(values, type).data : nullptr;
  return {Copy(values.data(), values.size()), static_cast<const uint16_t*>(rounded)};
}

Batch GpuArrays::CopyBatch(const Batch& batch, int64_t micro_batch, const Dims& input,
                           int64_t predictions) {
  Batch copy = batch;
  const auto rows = static_cast<size_t>(micro_batch);
  const auto each = static_cast<size_t>(ElementsOf(input));
  const auto length = static_cast<size_t>(input.front());  // Of {S}, or {S, H} in front of a head.
  const auto of = [this](const auto* host, size_t count) {
    return host == nullptr ? nullptr : Copy(host, count);
  };
  copy.inputs = of(batch.inputs, rows * each);
  copy.labels = of(batch.labels, rows);
  copy.tokens = of(batch.tokens, rows * length);
  copy.segments = of(batch.segments, rows * length);
  copy.lengths = of(batch.lengths, rows);
  copy.masked_positions = of(batch.masked_positions, rows * static_cast<size_t>(predictions));
  copy.masked_labels = of(batch.masked_labels, rows * static_cast<size_t>(predictions));
  copy.targets = of(batch.targets, rows * each);
  copy.positions = of(batch.positions, rows);
  return copy;
}

void ExpectGpuLayerAgrees(const LayerSpec& spec, const Dims& input, int64_t micro_batch,
                          const GpuProbeOptions& options) {
  const ValueType type = ActivationType(options.precision);
  std::vector<uint64_t> positions(static_cast<size_t>(micro_batch));
  std::iota(positions.begin(), positions.end(), 1000);
  Batch batch = options.batch;
  if (batch.samples == 0) batch.samples = micro_batch;
  if (batch.positions == nullptr) batch.positions = positions.data();
  // The CPU computes in float32: from rounded values its results are the ones to be met.
  LayerProbe cpu(spec, input, batch, micro_batch, options.reads_values);
  if (type == ValueType::kBf16) {
    RoundValuesToBf16(&cpu.input());
    RoundValuesToBf16(&cpu.loss_weights());
    for (std::vector<float>& weight : cpu.weights()) RoundValuesToBf16(&weight);
  }
  ASSERT_TRUE(cpu.Forward(options.training).ok());
  const std::vector<float> output = cpu.output();

  const LayerSetting setting = {.micro_batch = micro_batch, .precision = options.precision};
  Result<std::unique_ptr<GpuLayer>> made =
      options.make ? options.make(setting) : MakeGpuLayer(spec, input, setting);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  GpuLayer& layer = *made.value();
  GpuArrays arrays;
  PlainProducts products;
  const GpuLane lane = {&arrays.stream(), &products};
  const Batch on_gpu = arrays.CopyBatch(batch, micro_batch, input);
  std::vector<GpuWeight> weights;
  for (const std::vector<float>& weight : cpu.weights()) {
    weights.push_back(arrays.Weight(weight, type));
  }
  const GpuValues x =
      options.reads_values ? arrays.Values(cpu.input(), type) : GpuValues{nullptr, type};
  const GpuValues y = {arrays.Bytes(output.size() * BytesOf(type)), type};
  std::byte* const kept = arrays.Bytes(layer.bytes().kept);
  std::byte* const scratch = arrays.Bytes(layer.bytes().scratch);
  const Status forward = layer.Forward({.lane = lane,
                                        .batch = &on_gpu,
                                        .training = options.training,
                                        .input = x,
                                        .weights = weights,
                                        .output = y,
                                        .kept = kept,
                                        .scratch = scratch});
  ASSERT_TRUE(forward.ok()) << forward.ToString();
  ExpectClose("output", arrays.Read(y, output.size()), output, options.tolerance);
  if (!options.training) return;

  const LayerProbe::Gradients expected = cpu.Backward(options.accumulate, 1.0f);
  std::vector<GradientSum> sums;
  for (const std::vector<float>& weight : cpu.weights()) {
    const std::vector<float> ones(weight.size(), options.accumulate ? 1.0f : NAN);
    sums.push_back({arrays.Copy(ones.data(), ones.size()), options.accumulate});
  }
  const GpuValues dx = {
      options.reads_values ? arrays.Bytes(cpu.input().size() * BytesOf(type)) : nullptr, type};
  const Status backward =
      layer.Backward({.lane = lane,
                      .batch = &on_gpu,
                      .input = x,
                      .output = y,
                      .weights = weights,
                      .output_gradient = arrays.Values(cpu.loss_weights(), type),
                      .input_gradient = dx,
                      .weight_gradients = sums,
                      .kept = kept,
                      .scratch = scratch});
  ASSERT_TRUE(backward.ok()) << backward.ToString();
  if (options.reads_values) {
    ExpectClose("input gradient", arrays.Read(dx, cpu.input().size()), expected.input,
                options.tolerance);
  }
  for (size_t t = 0; t < sums.size(); ++t) {
    ExpectClose(layer.tensors()[t].name,
                arrays.ReadAs<float>(sums[t].values, expected.weights[t].size()),
                expected.weights[t], options.tolerance);
  }
}

}  // namespace drover
