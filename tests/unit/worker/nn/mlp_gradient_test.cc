// The gradient of the MLP against numbers of an independent float64 implementation
// (tests/golden/mlp_gradient.py) and against differences of the loss.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/worker/nn/mlp_fixture.h"
#include "worker/nn/model.h"

namespace drover {
namespace {

nlohmann::json ReadGolden() {
  std::ifstream file(DROVER_GOLDEN_DIR "/mlp_gradient.json");
  return nlohmann::json::parse(file);
}

struct GoldenProblem {
  NetworkSpec network;
  int64_t input_size = 0;
  OwnedBatch batch;
};

GoldenProblem ProblemOf(const nlohmann::json& golden) {
  GoldenProblem problem;
  const std::vector<int64_t> sizes = golden["sizes"];
  problem.input_size = sizes.front();
  problem.network = MlpNetwork({sizes.front()}, {sizes.begin() + 1, sizes.end() - 1}, sizes.back());
  for (const auto& row : golden["inputs"]) {
    for (const float value : row) problem.batch.inputs.push_back(value);
  }
  problem.batch.labels = golden["labels"].get<std::vector<int32_t>>();
  return problem;
}

// Float32 rounding of a few dozen additions of values below 10.
constexpr double kTolerance = 3e-6;

void ExpectGoldenGradient(const nlohmann::json& golden, const Layout& layout,
                          const std::vector<float>& gradient) {
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    const std::vector<double> expected = golden["tensors"][t]["gradient"];
    ASSERT_EQ(expected.size(), layout.tensor_size(t));
    double worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      worst = std::max(worst, std::abs(gradient[layout.tensor_offset(t) + i] - expected[i]));
    }
    EXPECT_LT(worst, kTolerance) << layout.tensors()[t].name;
  }
}

class MlpGradientTest : public testing::TestWithParam<int64_t> {};

// As one micro-batch, as several, and with one that must be padded.
TEST_P(MlpGradientTest, EqualsNumpyWhateverTheMicroBatch) {
  const nlohmann::json golden = ReadGolden();
  const GoldenProblem problem = ProblemOf(golden);
  const int64_t micro_batch = GetParam();
  const std::unique_ptr<Model> model = MakeModel(problem.network, micro_batch);
  std::vector<float> weights = ParameterSpace(model->layout(), 0.0f);
  for (size_t t = 0; t < model->tensors().size(); ++t) {
    ASSERT_EQ(model->tensors()[t].name, golden["tensors"][t]["name"]);
    const std::vector<float> values = golden["tensors"][t]["weight"];
    std::copy(values.begin(), values.end(),
              weights.begin() + static_cast<int64_t>(model->layout().tensor_offset(t)));
  }
  std::vector<float> gradient = ParameterSpace(model->layout(), NAN);

  BatchResult total;
  const Batch all = problem.batch.view();
  for (int64_t begin = 0; begin < all.samples; begin += micro_batch) {
    const Batch part = {all.inputs + begin * problem.input_size, all.labels + begin,
                        std::min(micro_batch, all.samples - begin)};
    const Result<BatchResult> result =
        model->ForwardBackward(part, weights.data(), {gradient.data(), begin == 0, {}});
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    total.loss_sum += result.value().loss_sum;
    total.correct += result.value().correct;
    total.samples += result.value().samples;
  }

  EXPECT_NEAR(total.loss_sum, golden["loss_sum"], kTolerance);
  EXPECT_EQ(total.correct, golden["correct"]);
  EXPECT_EQ(total.samples, all.samples);
  ExpectGoldenGradient(golden, model->layout(), gradient);
}

INSTANTIATE_TEST_SUITE_P(MicroBatches, MlpGradientTest, testing::Values(6, 3, 2, 4, 1, 16));

// The slope along the gradient itself: (L(w + hg) - L(w - hg)) / 2h = |g|^2, which is large enough
// to be seen through float32.
TEST(MlpGradientTest, EqualsTheSlopeOfTheLoss) {
  const std::unique_ptr<Model> model = MakeModel(MlpNetwork({50}, {40, 30}, 10), 32);
  const OwnedBatch batch = MakeBatch(32, 50, 10, /*seed=*/3);
  const std::vector<float> weights = InitialWeights(model->layout(), /*seed=*/4);
  std::vector<float> gradient = ParameterSpace(model->layout(), 0.0f);
  ASSERT_TRUE(
      model->ForwardBackward(batch.view(), weights.data(), {gradient.data(), true, {}}).ok());

  double squared_norm = 0;
  for (const float g : gradient) squared_norm += double{g} * g;
  const double h = 1e-3 / std::sqrt(squared_norm);
  std::vector<float> above = weights;
  std::vector<float> below = weights;
  for (size_t i = 0; i < weights.size(); ++i) {
    above[i] = static_cast<float>(weights[i] + h * gradient[i]);
    below[i] = static_cast<float>(weights[i] - h * gradient[i]);
  }
  const double loss_above = model->Evaluate(batch.view(), above.data()).value().loss_sum;
  const double loss_below = model->Evaluate(batch.view(), below.data()).value().loss_sum;

  // Curvature and float32 leave about 1e-4.
  EXPECT_NEAR((loss_above - loss_below) / (2 * h) / squared_norm, 1.0, 1e-3);
}

}  // namespace
}  // namespace drover
