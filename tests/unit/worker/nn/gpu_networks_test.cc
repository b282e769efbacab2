// The presets on a GPU beside the CPU: loss, answers and gradient of a leaf of a full and a short
// micro-batch, from the same initial weights.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/mlp_fixture.h"
#include "worker/nn/bert.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/leaf_model.h"
#include "worker/nn/presets.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

using Cell = RecurrentSpec::Cell;

constexpr int64_t kMicroBatch = 3;
constexpr int64_t kSamples = 5;  // Of the leaf: a full micro-batch and two samples.
constexpr int32_t kClasses = 10;
constexpr uint64_t kSeed = 7;

// BERT's sizes here. Padding, an empty entry of the masked tokens, and heads of the smallest size
// that attention has on a GPU.
constexpr int64_t kTokens = 6;
constexpr int64_t kPredictions = 2;
constexpr BertSizes kBert = {.layers = 2,
                             .hidden = 64,
                             .heads = 2,
                             .intermediate = 48,
                             .positions = 8,
                             .vocabulary = 29,
                             .dropout = 0.1};

struct NetworkCase {
  std::string name;
  NetworkSpec network;
};

void PrintTo(const NetworkCase& network_case, std::ostream* out) { *out << network_case.name; }

NetworkSpec SmallCnn() {
  NetworkSpec network = CnnNetwork({6, 7, 2}, kClasses, PresetInit::kDefault);
  int64_t size = 4;
  for (LayerSpec& layer : network.layers) {
    if (auto* convolution = std::get_if<ConvolutionSpec>(&layer.kind)) {
      convolution->filters = size++;
    } else if (layer.name == "dense0") {
      std::get<DenseSpec>(layer.kind).size = 33;
    }
  }
  return network;
}

NetworkSpec SmallRecurrent(Cell cell) {
  NetworkSpec network = BiRecurrentNetwork({4, 5, 1}, cell, kClasses, PresetInit::kDefault);
  std::get<RecurrentSpec>(network.layers.front().kind).size = 17;
  return network;
}

std::vector<NetworkCase> Cases() {
  return {{"Mlp", MlpNetwork({5, 4, 1}, {33, 17}, kClasses)},
          {"MlpOfTheTable", MlpNetwork({5, 4, 1}, {33, 17}, kClasses, PresetInit::kTable)},
          {"Cnn", SmallCnn()},
          {"BiRnn", SmallRecurrent(Cell::kRnn)},
          {"BiGru", SmallRecurrent(Cell::kGru)},
          {"BiLstm", SmallRecurrent(Cell::kLstm)},
          {"Bert", BertNetwork(kBert, kTokens, kPredictions)}};
}

// Samples of any of the networks.
class Samples {
 public:
  explicit Samples(const NetworkSpec& network)
      : row_(ElementsOf(network.input)),
        is_text_(network.vocabulary > 0),
        images_(MakeBatch(kSamples, row_, is_text_ ? 2 : kClasses, kSeed)) {
    for (size_t i = 0; i < images_.inputs.size(); ++i) {
      tokens_.push_back(static_cast<int32_t>(images_.inputs[i] * kBert.vocabulary));
      segments_.push_back(static_cast<int32_t>(i) % row_ > 2 ? 1 : 0);
    }
  }

  Batch Rows(int64_t begin, int64_t end) const {
    Batch batch;
    batch.samples = end - begin;
    batch.labels = images_.labels.data() + begin;
    batch.seed = kSeed;
    batch.positions = positions_.data() + begin;
    if (!is_text_) {
      batch.inputs = images_.inputs.data() + begin * row_;
      return batch;
    }
    batch.tokens = tokens_.data() + begin * row_;
    batch.segments = segments_.data() + begin * row_;
    batch.lengths = lengths_.data() + begin;
    batch.masked_positions = masked_positions_.data() + begin * kPredictions;
    batch.masked_labels = masked_labels_.data() + begin * kPredictions;
    return batch;
  }

 private:
  const int64_t row_;
  const bool is_text_;
  const OwnedBatch images_;
  std::vector<int32_t> tokens_, segments_;
  const std::vector<int32_t> lengths_ = {6, 1, 4, 5, 6};
  const std::vector<int32_t> masked_positions_ = {0, 5, 0, 0, 3, 1, 4, 2, 5, 0};
  const std::vector<int32_t> masked_labels_ = {3, 28, 0, -1, 7, 9, 11, 2, -1, -1};
  const std::vector<uint64_t> positions_ = {100, 101, 102, 103, 104};
};

struct Leaf {
  std::map<std::string, std::vector<float>> gradient;  // By name of the tensor.
  std::vector<BatchResult> results;
  BatchResult evaluation;
};

Leaf Compute(LeafModel* model, const NetworkSpec& network) {
  const Layout& layout = model->layout();
  const Samples samples(network);
  const std::vector<float> weights = InitialWeights(layout, kSeed);
  std::vector<float> space = ParameterSpace(layout, std::numeric_limits<float>::quiet_NaN());
  Leaf leaf;
  EXPECT_TRUE(
      model->BeginLeaf({.version = 1, .weights = weights.data(), .gradient = space.data()}).ok());
  EXPECT_TRUE(model->Add(samples.Rows(0, kMicroBatch), /*last=*/false).ok());
  EXPECT_TRUE(model->Add(samples.Rows(kMicroBatch, kSamples), /*last=*/true).ok());
  const Result<LeafResult> result = model->EndLeaf();
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  if (result.ok()) leaf.results = result.value().micro_batches;
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    const float* const begin = space.data() + layout.tensor_offset(t);
    leaf.gradient[layout.tensors()[t].name].assign(begin, begin + layout.tensor_size(t));
  }
  const Result<BatchResult> evaluation =
      model->Evaluate(1, weights.data(), samples.Rows(kMicroBatch, kSamples));
  EXPECT_TRUE(evaluation.ok()) << evaluation.status().ToString();
  if (evaluation.ok()) leaf.evaluation = evaluation.value();
  return leaf;
}

Leaf OnCpu(const NetworkSpec& network) {
  return Compute(MakeCpuLeafModel(network, {.micro_batch = kMicroBatch}).value().get(), network);
}

Leaf OnGpu(const NetworkSpec& network, Precision precision = Precision::kF32,
           bool recompute = false) {
  Result<std::unique_ptr<LeafModel>> model = MakeGpuLeafModel(
      0, std::make_unique<PlainProducts>(), network,
      {.micro_batch = kMicroBatch, .precision = precision}, /*inlet=*/nullptr, recompute);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? Compute(model.value().get(), network) : Leaf();
}

void ExpectSameAnswers(const BatchResult& gpu, const BatchResult& cpu) {
  EXPECT_NEAR(gpu.loss_sum, cpu.loss_sum, 1e-5 * cpu.loss_sum);
  EXPECT_NEAR(gpu.masked_loss_sum, cpu.masked_loss_sum, 1e-5 * cpu.masked_loss_sum);
  EXPECT_EQ(gpu.samples, cpu.samples);
  EXPECT_EQ(gpu.correct, cpu.correct);
  EXPECT_EQ(gpu.masked_tokens, cpu.masked_tokens);
  EXPECT_EQ(gpu.masked_correct, cpu.masked_correct);
}

// The tensor whose gradient is the measure for that of `name`. A key's bias moves all scores of a
// query alike, so that its gradient is 0 but for roundings of terms as large as its weight's.
const std::vector<float>& MeasureOf(const Leaf& leaf, const std::string& name) {
  const size_t at = name.rfind("self.key.bias");
  return leaf.gradient.at(at == std::string::npos ? name : name.substr(0, at) + "self.key.weight");
}

double Largest(const std::vector<float>& values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(double{value}));
  return largest;
}

double Norm(const std::vector<float>& values) {
  double squares = 0;
  for (const float value : values) squares += double{value} * value;
  return std::sqrt(squares);
}

// b - a.
std::vector<float> Apart(const std::vector<float>& a, std::vector<float> b) {
  EXPECT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) b[i] -= a[i];
  return b;
}

class GpuNetworksTest : public testing::TestWithParam<NetworkCase> {};

INSTANTIATE_TEST_SUITE_P(Presets, GpuNetworksTest, testing::ValuesIn(Cases()),
                         [](const auto& param_info) { return param_info.param.name; });

// Both compute in float32 with the same formulas; sums of up to some hundred terms have another
// order, which costs a few ulp of the largest.
TEST_P(GpuNetworksTest, LossAnswersAndGradientAreTheCpus) {
  const Leaf cpu = OnCpu(GetParam().network);
  const Leaf gpu = OnGpu(GetParam().network);

  ASSERT_EQ(gpu.results.size(), cpu.results.size());
  for (size_t m = 0; m < cpu.results.size(); ++m) {
    ExpectSameAnswers(gpu.results[m], cpu.results[m]);
  }
  ExpectSameAnswers(gpu.evaluation, cpu.evaluation);
  ASSERT_EQ(gpu.gradient.size(), cpu.gradient.size());
  for (const auto& [name, values] : cpu.gradient) {
    EXPECT_TRUE(std::isfinite(Norm(gpu.gradient.at(name)))) << name;
    EXPECT_LE(Largest(Apart(values, gpu.gradient.at(name))), 4e-6 * Largest(MeasureOf(cpu, name)))
        << name;
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// Roundings to 8 bits turn some units of a ReLU on or off and let another value of a pooling window
// win, so single gradients may be far off: tensors as a whole are not.
TEST_P(GpuNetworksTest, Bf16StaysNearTheCpusFloat32) {
  const Leaf cpu = OnCpu(GetParam().network);
  const Leaf gpu = OnGpu(GetParam().network, Precision::kBf16);

  ASSERT_EQ(gpu.results.size(), cpu.results.size());
  for (size_t m = 0; m < cpu.results.size(); ++m) {
    EXPECT_NEAR(gpu.results[m].loss_sum, cpu.results[m].loss_sum, 0x1p-7 * cpu.results[m].loss_sum);
  }
  ASSERT_EQ(gpu.gradient.size(), cpu.gradient.size());
  for (const auto& [name, values] : cpu.gradient) {
    EXPECT_LE(Norm(Apart(values, gpu.gradient.at(name))), 0x1p-3 * Norm(MeasureOf(cpu, name)))
        << name;
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST_P(GpuNetworksTest, HasTheSameBitsInEveryOrderOfThreads) {
  Leaf first;
  emulator::ForEachSeed(3, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    const Leaf leaf = OnGpu(GetParam().network);
    if (seed == 0) first = leaf;
    EXPECT_EQ(leaf.gradient, first.gradient);
    EXPECT_EQ(leaf.evaluation.loss_sum, first.evaluation.loss_sum);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// Dropout is drawn again from the same numbers.
TEST(GpuRecomputeTest, ComputingBlocksAgainChangesNoBit) {
  const NetworkSpec bert = BertNetwork(kBert, kTokens, kPredictions);
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const Leaf expected = OnGpu(bert, precision);
    emulator::ForEachSeed(2, [&](uint64_t seed) {
      SCOPED_TRACE(seed);
      const Leaf leaf = OnGpu(bert, precision, /*recompute=*/true);
      EXPECT_EQ(leaf.gradient, expected.gradient);
      ASSERT_EQ(leaf.results.size(), expected.results.size());
      for (size_t m = 0; m < expected.results.size(); ++m) {
        EXPECT_EQ(leaf.results[m].loss_sum, expected.results[m].loss_sum);
        EXPECT_EQ(leaf.results[m].masked_loss_sum, expected.results[m].masked_loss_sum);
      }
      EXPECT_EQ(leaf.evaluation.loss_sum, expected.evaluation.loss_sum);
      EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
    });
  }
}

}  // namespace
}  // namespace drover
