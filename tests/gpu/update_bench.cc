// How fast the update is on BERT-large's tensors, beside what a copy on the same GPU moves in the
// same run. Checks first that the fused update has the bits of the two-pass one, then times graphs
// of one step each. Figures are medians.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "common/tensor/accumulate_gpu.h"
#include "common/tensor/fixed_point.h"
#include "common/tensor/layout.h"
#include "server/optim/mean_gpu.h"
#include "server/optim/settings.h"
#include "server/optim/step_scalars.h"
#include "server/optim/trust_ratio.h"
#include "server/optim/update_plan_gpu.h"
#include "tests/gpu/require_gpu.h"

namespace drover {
namespace {

constexpr int kRounds = 21;
constexpr uint64_t kBertLargeParameters = 336'232'258;
constexpr double kMeanFactor = 0x1p-48;

// Devlin et al. 2018, with both heads of pre-training and the vocabulary padded to 30,528.
std::vector<TensorSpec> BertLarge() {
  constexpr int64_t kHidden = 1024, kInner = 4096, kVocabulary = 30528;
  std::vector<TensorSpec> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back({name, std::move(shape), {}});
  };
  const auto norm = [&](const std::string& name) {
    add(name + "/LayerNorm/gamma", {kHidden});
    add(name + "/LayerNorm/beta", {kHidden});
  };
  const auto dense = [&](const std::string& name, int64_t outputs, int64_t inputs) {
    add(name + "/weight", {outputs, inputs});
    add(name + "/bias", {outputs});
  };
  add("embeddings/word", {kVocabulary, kHidden});
  add("embeddings/position", {512, kHidden});
  add("embeddings/type", {2, kHidden});
  norm("embeddings");
  for (int layer = 0; layer < 24; ++layer) {
    const std::string name = "layer" + std::to_string(layer);
    for (const char* part : {"/query", "/key", "/value", "/output"}) {
      dense(name + part, kHidden, kHidden);
    }
    norm(name + "/attention");
    dense(name + "/inner", kInner, kHidden);
    dense(name + "/outer", kHidden, kInner);
    norm(name);
  }
  dense("pooler", kHidden, kHidden);
  dense("predictions/transform", kHidden, kHidden);
  norm("predictions");
  add("predictions/bias", {kVocabulary});
  dense("next_sentence", 2, kHidden);
  return tensors;
}

void Must(const Status& status) { ASSERT_TRUE(status.ok()) << status.ToString(); }

template <typename T>
DeviceBuffer<T> Buffer(size_t size) {
  return DeviceBuffer<T>::Make(0, size).value();
}

// The model in device memory, with every array that any of the passes below wants.
struct Model {
  explicit Model(Rule rule)
      : layout(Layout::Make(BertLarge()).value()),
        stream(GpuStream::Open(0).value()),
        settings(DefaultSettings(rule)),
        plan(MakePlan()),
        tables(UpdatePlanOnGpu::Copy(plan, stream).value()),
        fused(FusedUpdate::Make(plan, tables, Multiprocessors(), stream).value()),
        weight(Buffer<float>(plan.elements)),
        gradient(Buffer<float>(plan.elements)),
        sums(Buffer<int64_t>(plan.elements)),
        published(Buffer<uint16_t>(plan.elements)),
        strip_norms(Buffer<BlockNorms>(plan.strips.size())),
        scales(Buffer<float>(plan.tensors.size())),
        groups(Buffer<UpdateGroup>(2)),
        step(Buffer<UpdateStep>(1)) {
    for (int slot = 0; slot < InfoOf(rule).slots; ++slot) {
      slots[slot] = Buffer<float>(plan.elements);
    }
    Reset();
  }

  static uint32_t Multiprocessors() {
    return static_cast<uint32_t>(ListGpus().value().front().multiprocessors);
  }

  UpdatePlan MakePlan() const {
    std::vector<uint32_t> of_tensor;
    for (const TensorSpec& tensor : layout.tensors()) {
      of_tensor.push_back(GroupOf(settings, tensor.name).decay ? 0 : 1);
    }
    return MakeUpdatePlan(layout, layout.all_blocks(), of_tensor);
  }

  // The same start for every path: a random Mi of values over and over.
  void Reset() {
    std::vector<float> values(1 << 20);
    std::vector<int64_t> integers(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const auto words = Philox(/*seed=*/1, /*stream=*/0, i);
      values[i] = (UnitFloat(words[0]) - 0.5f) * 0.04f;
      integers[i] = static_cast<int64_t>(static_cast<double>(values[i]) * 0x1p44);
    }
    for (uint64_t at = 0; at < plan.elements; at += values.size()) {
      const size_t count = std::min<uint64_t>(values.size(), plan.elements - at);
      Must(CopyToDevice<float>(stream, std::span(values).first(count), weight.data() + at));
      Must(CopyToDevice<int64_t>(stream, std::span(integers).first(count), sums.data() + at));
    }
    Must(ZeroBytes(stream, gradient.data(), gradient.bytes()));
    for (const auto& slot : slots) {
      if (slot.size() > 0) Must(ZeroBytes(stream, slot.data(), slot.bytes()));
    }
    std::vector<UpdateGroup> group_values;
    std::vector<float> scale_values(plan.tensors.size());
    for (const bool decay : {true, false}) {
      const GroupSettings group = MakeGroup(settings, decay, decay);
      group_values.push_back({ComputeStepScalars(settings, group, 1, 1e-3, 1.0),
                              TrustRatioTermsOf(settings, group),
                              UpdateScaleTermsOf(settings, group, 1, 1e-3)});
    }
    std::fill(scale_values.begin(), scale_values.end(), 1e-3f);
    const std::vector<UpdateStep> step_values = {{kMeanFactor, LookaheadStep()}};
    Must(CopyToDevice<UpdateGroup>(stream, group_values, groups.data()));
    Must(CopyToDevice<float>(stream, scale_values, scales.data()));
    Must(CopyToDevice<UpdateStep>(stream, step_values, step.data()));
    const auto strip_squares = Buffer<double>(plan.strips.size());
    const auto block_squares = Buffer<double>(plan.block_strips.size() - 1);
    Must(ConvertOnGpu(tables.tables(), sums.data(), kMeanFactor, gradient.data(),
                      strip_squares.data(), block_squares.data(), stream));
    Must(stream.Wait());
  }

  UpdateArrays Arrays(bool from_sums, bool publish) const {
    UpdateArrays arrays{};
    arrays.weight = weight.data();
    arrays.next_weight = weight.data();
    arrays.gradient = from_sums ? nullptr : gradient.data();
    arrays.sums = sums.data();
    for (size_t slot = 0; slot < kSlotsMax; ++slot) arrays.slot[slot] = slots[slot].data();
    arrays.published = publish ? published.data() : nullptr;
    return arrays;
  }
  UpdateNumbersOnGpu Numbers() const { return {step.data(), groups.data()}; }

  Status Apply(const UpdateArrays& arrays) const {
    return ApplyOnGpu(settings.rule, tables.tables(), Numbers(), arrays, scales.data(), stream);
  }
  Status TwoPasses(const UpdateArrays& arrays) const {
    DROVER_RETURN_IF_ERROR(MeasureOnGpu(settings.rule, tables.tables(), Numbers(), arrays,
                                        strip_norms.data(), /*block_norms=*/nullptr, stream));
    DROVER_RETURN_IF_ERROR(TrustRatiosOnGpu(tables.tables(), Numbers(), strip_norms.data(),
                                            scales.data(), /*ratios=*/nullptr, stream));
    return Apply(arrays);
  }
  Status Fused(const UpdateArrays& arrays) const {
    return fused.Run(settings.rule, Numbers(), arrays, stream);
  }

  std::vector<float> Weights() const {
    std::vector<float> weights(plan.elements);
    Must(CopyToHost<float>(stream, weight.data(), weights));
    Must(stream.Wait());
    return weights;
  }

  const Layout layout;
  const GpuStream stream;
  const OptimizerSettings settings;
  const UpdatePlan plan;
  const UpdatePlanOnGpu tables;
  const FusedUpdate fused;
  const DeviceBuffer<float> weight, gradient;
  const DeviceBuffer<int64_t> sums;
  const DeviceBuffer<uint16_t> published;
  const DeviceBuffer<BlockNorms> strip_norms;
  const DeviceBuffer<float> scales;
  const DeviceBuffer<UpdateGroup> groups;
  const DeviceBuffer<UpdateStep> step;
  DeviceBuffer<float> slots[kSlotsMax];
};

double MedianSeconds(const GpuStream& stream, const std::function<Status()>& enqueue) {
  GpuEvent begin = GpuEvent::Make(0, GpuEvent::Timing::kOn).value();
  GpuEvent end = GpuEvent::Make(0, GpuEvent::Timing::kOn).value();
  std::vector<double> seconds;
  for (int round = -3; round < kRounds; ++round) {
    Must(begin.Record(stream));
    Must(enqueue());
    Must(end.Record(stream));
    Must(end.Wait());
    if (round >= 0) seconds.push_back(GpuEvent::Milliseconds(begin, end).value() / 1000);
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  return seconds[kRounds / 2];
}

// Bytes per second that a copy reads and writes.
double CopyBandwidth(const Model& model) {
  const size_t bytes = model.sums.bytes() / 2;
  auto* from = reinterpret_cast<std::byte*>(model.sums.data());
  const double seconds = MedianSeconds(
      model.stream, [&] { return CopyBytesOnDevice(model.stream, from + bytes, from, bytes); });
  fmt::print("figure copy {:.1f} GB/s\n", 2.0 * static_cast<double>(bytes) / seconds / 1e9);
  return 2.0 * static_cast<double>(bytes) / seconds;
}

// `bytes` per parameter is what the figure counts, whatever the caches save.
void Time(const Model& model, const std::string& name, double bytes, double copy,
          const std::function<Status()>& enqueue) {
  const GpuGraph graph = GpuGraph::Capture(model.stream, enqueue).value();
  const double seconds = MedianSeconds(model.stream, [&] { return graph.Launch(model.stream); });
  const double moved = bytes * static_cast<double>(kBertLargeParameters) / seconds;
  fmt::print("figure {}_time {:.3f} ms\n", name, seconds * 1000);
  fmt::print("figure {} {:.1f} GB/s at {} bytes per parameter, {} launches\n", name, moved / 1e9,
             bytes, graph.node_count());
  fmt::print("figure {}_share {:.1f} % of copy\n", name, 100 * moved / copy);
}

TEST(UpdateBench, BertLargeHas398Tensors) {
  const Layout layout = Layout::Make(BertLarge()).value();

  EXPECT_EQ(layout.tensors().size(), 398u);
  EXPECT_EQ(layout.parameter_count(), kBertLargeParameters);
}

TEST(UpdateBench, AdamW) {
  DROVER_REQUIRE_GPU();
  const Model model(Rule::kAdamW);
  const double copy = CopyBandwidth(model);

  Time(model, "adamw_from_sums_bf16_out", 34, copy,
       [&] { return model.Apply(model.Arrays(/*from_sums=*/true, /*publish=*/true)); });
  Time(model, "adamw_from_gradient_bf16_out", 30, copy,
       [&] { return model.Apply(model.Arrays(false, true)); });
  Time(model, "adamw_from_gradient", 28, copy,
       [&] { return model.Apply(model.Arrays(false, false)); });
}

// 42 bytes: what the fused update moves when no second pass finds anything in the cache; the two
// passes move 46, and 12 of the sums more.
TEST(UpdateBench, Lamb) {
  DROVER_REQUIRE_GPU();
  Model model(Rule::kLamb);
  for (int round = 0; round < 3; ++round) Must(model.TwoPasses(model.Arrays(false, false)));
  const std::vector<float> two_passes = model.Weights();
  model.Reset();
  for (int round = 0; round < 3; ++round) Must(model.Fused(model.Arrays(false, false)));
  const std::vector<float> fused = model.Weights();
  ASSERT_EQ(std::memcmp(fused.data(), two_passes.data(), fused.size() * sizeof(float)), 0);

  const double copy = CopyBandwidth(model);
  Time(model, "lamb_fused_from_gradient_bf16_out", 42, copy,
       [&] { return model.Fused(model.Arrays(false, true)); });
  Time(model, "lamb_two_passes_from_gradient_bf16_out", 42, copy,
       [&] { return model.TwoPasses(model.Arrays(false, true)); });
  Time(model, "lamb_fused_from_sums_bf16_out", 42, copy,
       [&] { return model.Fused(model.Arrays(true, true)); });
  Time(model, "lamb_two_passes_from_sums_bf16_out", 42, copy,
       [&] { return model.TwoPasses(model.Arrays(true, true)); });
}

// Eight leaves of a chunk at once: each is read for the check and again, from the cache, for the
// sum, which is read and written once.
TEST(UpdateBench, Accumulate) {
  DROVER_REQUIRE_GPU();
  constexpr uint32_t kCount = 1 << 20;
  const Model model(Rule::kSgd);
  const auto bad = Buffer<uint32_t>(kAccumulateInputsMax);
  std::vector<AccumulateInput> inputs;
  for (size_t i = 0; i < kAccumulateInputsMax; ++i) {
    inputs.push_back({model.gradient.data() + i * kCount, GradientEncoding::kF32, LeafLimit(1), 0});
  }
  const double seconds = MedianSeconds(model.stream, [&] {
    return AccumulateOnGpu(inputs, kCount, /*store=*/false, FixedPointScale(30), model.sums.data(),
                           bad.data(), model.stream);
  });
  const double bytes = kCount * (4.0 * static_cast<double>(kAccumulateInputsMax) + 16.0);
  fmt::print("figure accumulate_8_leaves {:.1f} GB/s at 48 bytes per element\n",
             bytes / seconds / 1e9);
}

}  // namespace
}  // namespace drover
