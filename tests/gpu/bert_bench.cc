// How many sequences of BERT-large a worker's GPU computes per second, forward and backward, in
// bfloat16 with dropout; the share of that in what a large product reaches on the same GPU in the
// same run; and the memory. torch_bert_bench.py is the same for PyTorch.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "tests/gpu/bert_steps.h"
#include "tests/gpu/require_gpu.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/gpu_model_plan.h"
#include "worker/nn/products.h"

namespace drover {
namespace {

constexpr int kMicroBatches = 12;
constexpr double kGiB = 1 << 30;

// Of [8192, 8192] x [8192, 8192] in bfloat16.
double ProductTeraflops() {
  constexpr int64_t kSize = 8192;
  constexpr int kRounds = 20;
  const GpuStream stream = GpuStream::Open(0).value();
  const std::unique_ptr<GpuProducts> products = MakeProducts(0, /*tf32=*/false).value();
  std::vector<DeviceBuffer<uint16_t>> matrices;
  for (int i = 0; i < 3; ++i) {
    matrices.push_back(DeviceBuffer<uint16_t>::Make(0, kSize * kSize).value());
    EXPECT_TRUE(ZeroBytes(stream, matrices.back().data(), matrices.back().bytes()).ok());
  }
  const auto values = [&](size_t i) { return GpuValues{matrices[i].data(), ValueType::kBf16}; };
  GpuEvent begin = GpuEvent::Make(0, GpuEvent::Timing::kOn).value();
  GpuEvent end = GpuEvent::Make(0, GpuEvent::Timing::kOn).value();
  for (int i = -3; i < kRounds; ++i) {
    if (i == 0) {
      EXPECT_TRUE(begin.Record(stream).ok());
    }
    const Status status = products->Multiply({.m = kSize,
                                              .n = kSize,
                                              .k = kSize,
                                              .a = {values(0), kSize},
                                              .b = {values(1), kSize, /*transposed=*/true},
                                              .c = {values(2), kSize}},
                                             stream);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_TRUE(end.Record(stream).ok());
  EXPECT_TRUE(stream.Wait().ok());
  const double seconds = GpuEvent::Milliseconds(begin, end).value() / 1e3 / kRounds;
  return 2.0 * kSize * kSize * kSize / seconds / 1e12;
}

std::vector<float> Weights(const Layout& layout) {
  std::vector<float> weights(layout.SpanElements(layout.all_blocks()));
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = 0.02f * (UnitFloat(Philox(1, 0, i)[0]) - 0.5f);
  }
  return weights;
}

struct Speed {
  double sequences_per_second = 0;
  int64_t micro_batch = 0;
  double gibibytes = 0;
};

// The best of these micro-batches; those that do not fit are left out.
Speed BestSpeed(const BertPhase& phase, std::span<const int64_t> micro_batches) {
  const NetworkSpec network = BertNetwork(BertLargeSizes(), phase.tokens, phase.predictions);
  Speed best;
  for (const int64_t micro_batch : micro_batches) {
    const LayerSetting setting = {.micro_batch = micro_batch, .precision = Precision::kBf16};
    Result<std::unique_ptr<LeafModel>> model =
        MakeGpuLeafModel(0, MakeProducts(0, /*tf32=*/false).value(), network, setting);
    if (!model.ok()) {
      fmt::print("micro-batch {}: {}\n", micro_batch, model.status().ToString());
      continue;
    }
    const MadeUpText text(BertLargeSizes(), phase, micro_batch);
    const Result<double> seconds = SecondsOfLeaf(model.value().get(), text.batch(), kMicroBatches,
                                                 Weights(model.value()->layout()));
    EXPECT_TRUE(seconds.ok()) << seconds.status().ToString();
    if (!seconds.ok()) break;
    const GpuModelParts parts = MakeGpuModelParts(network, setting).value();
    const Speed speed = {
        static_cast<double>(micro_batch * kMicroBatches) / seconds.value(), micro_batch,
        static_cast<double>(PlanGpuMemory(parts, network, setting).bytes.total()) / kGiB};
    fmt::print("micro-batch {}: {:.1f} sequences/s\n", micro_batch, speed.sequences_per_second);
    if (speed.sequences_per_second > best.sequences_per_second) best = speed;
  }
  return best;
}

void PrintPhase(const char* name, const BertPhase& phase, std::span<const int64_t> micro_batches) {
  const double peak = ProductTeraflops();
  fmt::print("figure product_bf16_beside_{} {:.0f} TFLOP/s, 8192 x 8192 x 8192\n", name, peak);
  const Speed best = BestSpeed(phase, micro_batches);
  const double teraflops =
      best.sequences_per_second * FlopsPerSequence(BertLargeSizes(), phase) / 1e12;
  fmt::print("figure bert_large_{} {:.1f} sequences/s, micro-batch {}\n", name,
             best.sequences_per_second, best.micro_batch);
  fmt::print("figure bert_large_{}_flops {:.1f} TFLOP/s, {:.0f} % of the product\n", name,
             teraflops, 100 * teraflops / peak);
  fmt::print("figure bert_large_{}_memory {:.1f} GiB, planned\n", name, best.gibibytes);
}

// step_bench.py asks for this one alone.
TEST(BertBench, Phase1) {
  DROVER_REQUIRE_GPU();
  const int64_t micro_batches[] = {32, 64, 96, 128};
  PrintPhase("phase1", {128, 20}, micro_batches);
}

TEST(BertBench, Phase2) {
  DROVER_REQUIRE_GPU();
  const int64_t micro_batches[] = {8, 16, 24, 32};
  PrintPhase("phase2", {512, 80}, micro_batches);
}

// For profile_bench.py: a micro-batch twice, each the last of its leaf and so without a graph, as a
// profiler sees kernels.
void RunForAProfiler(const BertPhase& phase, int64_t micro_batch) {
  const NetworkSpec network = BertNetwork(BertLargeSizes(), phase.tokens, phase.predictions);
  Result<std::unique_ptr<LeafModel>> model =
      MakeGpuLeafModel(0, MakeProducts(0, /*tf32=*/false).value(), network,
                       {.micro_batch = micro_batch, .precision = Precision::kBf16});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const MadeUpText text(BertLargeSizes(), phase, micro_batch);
  const Result<double> seconds =
      SecondsOfLeaf(model.value().get(), text.batch(),
                    /*micro_batches=*/1, Weights(model.value()->layout()));
  EXPECT_TRUE(seconds.ok()) << seconds.status().ToString();
}

TEST(BertBench, DISABLED_Phase1ForAProfiler) {
  DROVER_REQUIRE_GPU();
  RunForAProfiler({128, 20}, 64);
}

TEST(BertBench, DISABLED_Phase2ForAProfiler) {
  DROVER_REQUIRE_GPU();
  RunForAProfiler({512, 80}, 16);
}

}  // namespace
}  // namespace drover
