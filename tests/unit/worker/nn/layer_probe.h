// Gradients of any layer against differences of its own forward pass. The loss is a fixed weighted
// sum of the outputs, added in double.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_LAYER_PROBE_H_
#define DROVER_TESTS_UNIT_WORKER_NN_LAYER_PROBE_H_

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "worker/nn/layer.h"
#include "worker/nn/layer_table.h"

namespace drover {

// Uniform in [-1, 1).
inline std::vector<float> ProbeNoise(size_t count, uint64_t seed) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    values.push_back(2.0f * UnitFloat(Philox(seed, 77, i)[0]) - 1.0f);
  }
  return values;
}

class LayerProbe {
 public:
  // `reads_values`: false for a layer that reads tokens.
  LayerProbe(const LayerSpec& spec, const Dims& input, const Batch& batch, int64_t micro_batch,
             bool reads_values = true, Precision precision = Precision::kF32)
      : batch_(batch) {
    Result<std::unique_ptr<Layer>> made =
        MakeLayer(spec, input, {.micro_batch = micro_batch, .precision = precision});
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    layer_ = std::move(made).value();
    if (reads_values) input_ = ProbeNoise(static_cast<size_t>(micro_batch * ElementsOf(input)), 1);
    const size_t outputs = static_cast<size_t>(micro_batch * ElementsOf(layer_->output_dims()));
    output_.resize(outputs);
    loss_weights_ = ProbeNoise(outputs, 2);
    for (const TensorSpec& tensor : layer_->tensors()) {
      weights_.push_back(ProbeNoise(static_cast<size_t>(ElementsOf(tensor.shape)),
                                    /*seed=*/3 + weights_.size()));
    }
  }

  std::vector<TensorSpec> tensors() const { return layer_->tensors(); }
  std::vector<float>& input() { return input_; }
  std::vector<float>& output() { return output_; }
  std::vector<float>& loss_weights() { return loss_weights_; }
  std::vector<std::vector<float>>& weights() { return weights_; }
  Batch& batch() { return batch_; }

  Status Forward(bool training = true) {
    return layer_->Forward({.batch = &batch_,
                            .training = training,
                            .input = input_.empty() ? nullptr : input_.data(),
                            .weights = Pointers(),
                            .output = output_.data()});
  }

  double Loss() {
    EXPECT_TRUE(Forward().ok());
    double loss = 0;
    for (size_t i = 0; i < output_.size(); ++i) loss += double{loss_weights_[i]} * output_[i];
    return loss;
  }

  struct Gradients {
    std::vector<float> input;
    std::vector<std::vector<float>> weights;

    friend bool operator==(const Gradients&, const Gradients&) = default;
  };
  // Of Loss().
  Gradients Backward(bool accumulate = false, float fill = kNan) {
    EXPECT_TRUE(Forward().ok());
    Gradients gradients;
    gradients.input.assign(input_.size(), kNan);
    std::vector<GradientSum> sums;
    gradients.weights.reserve(weights_.size());
    for (const std::vector<float>& weight : weights_) {
      gradients.weights.emplace_back(weight.size(), fill);
      sums.push_back({gradients.weights.back().data(), accumulate});
    }
    std::vector<float> output_gradient = loss_weights_;
    EXPECT_TRUE(layer_
                    ->Backward({.batch = &batch_,
                                .input = input_.empty() ? nullptr : input_.data(),
                                .output = output_.data(),
                                .weights = Pointers(),
                                .output_gradient = output_gradient.data(),
                                .input_gradient = input_.empty() ? nullptr : gradients.input.data(),
                                .weight_gradients = sums})
                    .ok());
    return gradients;
  }

  // Central differences with this step have an error of step^2 and of rounding by step.
  void ExpectGradientsEqualDifferences(double tolerance, float step = 4e-3f) {
    const Gradients gradients = Backward();
    ExpectNear("input", &input_, gradients.input, tolerance, step);
    for (size_t t = 0; t < weights_.size(); ++t) {
      ExpectNear(layer_->tensors()[t].name, &weights_[t], gradients.weights[t], tolerance, step);
    }
  }

 private:
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  std::span<const float* const> Pointers() {
    pointers_.clear();
    for (const std::vector<float>& weight : weights_) pointers_.push_back(weight.data());
    return pointers_;
  }

  void ExpectNear(const std::string& name, std::vector<float>* values,
                  const std::vector<float>& gradient, double tolerance, float step) {
    for (size_t i = 0; i < values->size(); ++i) {
      const float original = (*values)[i];
      const float up = original + step;
      const float down = original - step;
      (*values)[i] = up;
      const double above = Loss();
      (*values)[i] = down;
      const double below = Loss();
      (*values)[i] = original;
      EXPECT_NEAR(gradient[i], (above - below) / (double{up} - down), tolerance)
          << name << "[" << i << "]";
    }
  }

  std::unique_ptr<Layer> layer_;
  Batch batch_;
  std::vector<float> input_, output_, loss_weights_;
  std::vector<std::vector<float>> weights_;
  std::vector<const float*> pointers_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_LAYER_PROBE_H_
