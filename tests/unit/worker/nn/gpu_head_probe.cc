#include "tests/unit/worker/nn/gpu_head_probe.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "worker/nn/gpu_layer_table.h"
#include "worker/nn/layer_table.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

// What both heads are given, on the host.
struct HeadCase {
  const HeadSpec& spec;
  const Dims& dims;
  const int64_t micro_batch;
  const GpuHeadProbeOptions& options;
  std::vector<float> input;
  std::vector<std::vector<float>> weights;

  float BeginOfSums() const { return options.accumulate ? 1.0f : NAN; }
};

GpuHeadOutcome RunOnCpu(const HeadCase& c, Head* head) {
  GpuHeadOutcome outcome;
  std::vector<const float*> weights;
  std::vector<GradientSum> sums;
  outcome.weight_gradients.reserve(c.weights.size());
  for (const std::vector<float>& weight : c.weights) {
    weights.push_back(weight.data());
    outcome.weight_gradients.emplace_back(weight.size(), c.BeginOfSums());
    sums.push_back({outcome.weight_gradients.back().data(), c.options.accumulate});
  }
  outcome.input_gradient.assign(c.input.size(), NAN);
  const bool wanted = c.options.wants_gradient;
  const Result<BatchResult> result =
      head->Run({.batch = &c.options.batch,
                 .training = wanted,
                 .input = c.input.data(),
                 .weights = weights,
                 .input_gradient = wanted ? outcome.input_gradient.data() : nullptr,
                 .weight_gradients = wanted ? sums : std::vector<GradientSum>()});
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  const BatchResult& r = result.value();
  outcome.result = {r.loss_sum, r.masked_loss_sum, r.correct, r.masked_tokens, r.masked_correct};
  return outcome;
}

GpuHeadOutcome RunOnGpu(const HeadCase& c, GpuHead* head) {
  GpuHeadOutcome outcome;
  GpuArrays arrays;
  PlainProducts products;
  const ValueType type = ActivationType(c.options.precision);
  const Batch batch =
      arrays.CopyBatch(c.options.batch, c.micro_batch, c.dims, c.options.predictions);
  std::vector<GpuWeight> weights;
  std::vector<GradientSum> sums;
  for (const std::vector<float>& weight : c.weights) {
    weights.push_back(arrays.Weight(weight, type));
    const std::vector<float> begin(weight.size(), c.BeginOfSums());
    sums.push_back({arrays.Copy(begin.data(), begin.size()), c.options.accumulate});
  }
  const bool wanted = c.options.wants_gradient;
  const GpuValues gradient = {arrays.Bytes(c.input.size() * BytesOf(type)), type};
  auto* const result = reinterpret_cast<GpuBatchResult*>(arrays.Bytes(sizeof(GpuBatchResult)));
  const Status done = head->Run({.lane = {&arrays.stream(), &products},
                                 .batch = &batch,
                                 .training = wanted,
                                 .input = arrays.Values(c.input, type),
                                 .weights = weights,
                                 .input_gradient = wanted ? gradient : GpuValues{nullptr, type},
                                 .weight_gradients = wanted ? sums : std::vector<GradientSum>(),
                                 .result = result,
                                 .scratch = arrays.Bytes(head->scratch_bytes())});
  EXPECT_TRUE(done.ok()) << done.ToString();
  outcome.result = arrays.ReadAs(result, 1)[0];
  outcome.input_gradient = arrays.Read(gradient, c.input.size());
  for (size_t t = 0; t < sums.size(); ++t) {
    outcome.weight_gradients.push_back(arrays.ReadAs<float>(sums[t].values, c.weights[t].size()));
  }
  return outcome;
}

void ExpectAgrees(const HeadCase& c, const GpuHead& head, const GpuHeadOutcome& gpu,
                  const GpuHeadOutcome& cpu) {
  const double tolerance = c.options.tolerance;
  EXPECT_NEAR(gpu.result.loss_sum, cpu.result.loss_sum, tolerance * (1 + cpu.result.loss_sum));
  EXPECT_NEAR(gpu.result.masked_loss_sum, cpu.result.masked_loss_sum,
              tolerance * (1 + cpu.result.masked_loss_sum));
  EXPECT_EQ(gpu.result.correct, cpu.result.correct);
  EXPECT_EQ(gpu.result.masked_tokens, cpu.result.masked_tokens);
  EXPECT_EQ(gpu.result.masked_correct, cpu.result.masked_correct);
  if (!c.options.wants_gradient) return;
  ExpectClose("input gradient", gpu.input_gradient, cpu.input_gradient, tolerance);
  for (size_t t = 0; t < cpu.weight_gradients.size(); ++t) {
    ExpectClose(head.tensors()[t].name, gpu.weight_gradients[t], cpu.weight_gradients[t],
                tolerance);
  }
  const auto each = static_cast<size_t>(ElementsOf(c.dims));
  for (size_t i = static_cast<size_t>(c.options.batch.samples) * each;
       i < gpu.input_gradient.size(); ++i) {
    ASSERT_EQ(gpu.input_gradient[i], 0.0f) << "padding, " << i;
  }
}

}  // namespace

bool IsSame(const GpuHeadOutcome& a, const GpuHeadOutcome& b) {
  const auto bits = [](const std::vector<float>& values) {
    return std::as_bytes(std::span(values));
  };
  bool is_same = std::memcmp(&a.result, &b.result, sizeof(a.result)) == 0 &&
                 std::ranges::equal(bits(a.input_gradient), bits(b.input_gradient));
  for (size_t t = 0; t < a.weight_gradients.size(); ++t) {
    is_same =
        is_same && std::ranges::equal(bits(a.weight_gradients[t]), bits(b.weight_gradients[t]));
  }
  return is_same;
}

GpuHeadOutcome ExpectGpuHeadAgrees(const HeadSpec& spec, const Dims& input, int64_t micro_batch,
                                   const GpuHeadProbeOptions& options) {
  // The CPU computes in float32: from rounded values its results are the ones to be met.
  const std::unique_ptr<Head> on_cpu = MakeHead(spec, input, {.micro_batch = micro_batch}).value();
  const Status batch = on_cpu->Check(options.batch);
  EXPECT_TRUE(batch.ok()) << batch.ToString();
  const LayerSetting setting = {.micro_batch = micro_batch, .precision = options.precision};
  Result<std::unique_ptr<GpuHead>> on_gpu =
      options.make ? options.make(spec, input, setting) : MakeGpuHead(spec, input, setting);
  EXPECT_TRUE(on_gpu.ok()) << on_gpu.status().ToString();

  HeadCase c = {.spec = spec,
                .dims = input,
                .micro_batch = micro_batch,
                .options = options,
                .input = ProbeNoise(static_cast<size_t>(micro_batch * ElementsOf(input)), 1),
                .weights = {}};
  for (float& value : c.input) value *= options.input_scale;
  for (const TensorSpec& tensor : on_cpu->tensors()) {
    c.weights.push_back(ProbeNoise(static_cast<size_t>(ElementsOf(tensor.shape)),
                                   /*seed=*/3 + c.weights.size()));
  }
  if (options.precision == Precision::kBf16) {
    RoundValuesToBf16(&c.input);
    for (std::vector<float>& weight : c.weights) RoundValuesToBf16(&weight);
  }

  const GpuHeadOutcome cpu = RunOnCpu(c, on_cpu.get());
  GpuHeadOutcome gpu = RunOnGpu(c, on_gpu.value().get());
  ExpectAgrees(c, *on_gpu.value(), gpu, cpu);
  return gpu;
}

}  // namespace drover
