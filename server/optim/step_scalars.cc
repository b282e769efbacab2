#include "server/optim/step_scalars.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/base/exact_math.h"

namespace drover {
namespace {

using Scalars = StepScalarsOf<double>;

// 1 - beta^n: the share of the true mean that a moment which began at zero holds after n updates.
double Bias(double beta, int64_t update) { return 1.0 - ExactPower(beta, update); }

void SetAdaptiveMoments(const OptimizerSettings& settings, int64_t update, Scalars& s) {
  s.keep1 = settings.beta1;
  s.gain1 = 1.0 - settings.beta1;
  s.keep2 = settings.beta2;
  s.gain2 = 1.0 - settings.beta2;
  s.inv_bias1 = 1.0 / Bias(settings.beta1, update);
  s.inv_bias2 = 1.0 / Bias(settings.beta2, update);
  s.eps_outside = settings.eps;
}

void SetLamb(const OptimizerSettings& settings, int64_t update, double learning_rate,
             double weight_decay, Scalars& s) {
  SetAdaptiveMoments(settings, update, s);
  if (!settings.grad_averaging) s.gain1 = 1.0;
  if (settings.bias_correction != BiasCorrection::kBoth) s.inv_bias1 = s.inv_bias2 = 1.0;
  if (settings.eps_mode == EpsMode::kInsideSqrt) std::swap(s.eps_outside, s.eps_inside);
  switch (settings.decay_mode) {
    case DecayMode::kInUpdate:
      s.decay_in_update = weight_decay;
      break;
    case DecayMode::kL2:
      s.decay_l2 = weight_decay;
      break;
    case DecayMode::kDecoupledBefore:
      s.decay_before = learning_rate * weight_decay;
      break;
  }
}

// Liu et al. 2020, arXiv:1908.03265, with PyTorch's threshold of 5 for the length of the average.
void SetRectification(const OptimizerSettings& settings, int64_t update, Scalars& s) {
  const double longest = 2.0 / (1.0 - settings.beta2) - 1.0;
  const double bias2 = Bias(settings.beta2, update);
  const double length = longest - 2.0 * static_cast<double>(update) * (1.0 - bias2) / bias2;
  s.direct = length > 5.0 ? 0.0 : 1.0;
  if (length <= 5.0) return;
  s.rectified = std::sqrt(bias2) * std::sqrt((length - 4.0) * (length - 2.0) * longest /
                                             ((longest - 4.0) * (longest - 2.0) * length));
}

// mu_n = beta1 (1 - 0.96^(n psi) / 2); the product of mu_1 to mu_n counts until it is lost
// beside 1.
void SetNesterovMoments(const OptimizerSettings& settings, int64_t update, Scalars& s) {
  const auto mu = [&](int64_t n) {
    return settings.beta1 *
           (1.0 - 0.5 * ExactPower(0.96, static_cast<double>(n) * settings.momentum_decay));
  };
  double product = 1.0;
  for (int64_t n = 1; n <= update && product > 1e-20; ++n) product *= mu(n);
  s.direct = (1.0 - mu(update)) / (1.0 - product);
  s.rectified = mu(update + 1) / (1.0 - product * mu(update + 1));
}

void SetBounds(const OptimizerSettings& settings, int64_t update, double learning_rate,
               Scalars& s) {
  s.rectified =
      learning_rate * std::sqrt(Bias(settings.beta2, update)) / Bias(settings.beta1, update);
  const double last = settings.final_lr * learning_rate / settings.base_learning_rate;
  const double age = settings.gamma * static_cast<double>(update);
  s.bound_low = last * (1.0 - 1.0 / (age + 1.0));
  s.bound_high = last * (1.0 + 1.0 / age);
}

void SetMeanSquare(const OptimizerSettings& settings, Scalars& s) {
  s.keep1 = settings.momentum;
  s.keep2 = settings.alpha;
  s.gain2 = 1.0 - settings.alpha;
  s.eps_outside = settings.eps;
}

}  // namespace

StepScalarsOf<double> ComputeStepScalarsInDouble(const OptimizerSettings& settings,
                                                 const GroupSettings& group, int64_t update,
                                                 double learning_rate, double clip_factor) {
  DROVER_CHECK(update >= 1);
  learning_rate *= group.learning_rate_scale;
  const double weight_decay = WeightDecayOf(settings, group);
  Scalars s{};
  s.clip = clip_factor;
  switch (settings.rule) {
    case Rule::kSgd:
      s.decay_l2 = weight_decay;
      break;
    case Rule::kMomentumClassic:
    case Rule::kNagClassic:
      s.keep1 = settings.momentum;
      s.gain1 = learning_rate;
      break;
    case Rule::kAdagrad:
      s.keep2 = s.gain2 = 1.0;
      s.eps_outside = settings.eps;
      s.eps_inside = settings.initial_accumulator;
      s.decay_l2 = weight_decay;
      break;
    case Rule::kRmsProp:
    case Rule::kRmsPropMomentum:
    case Rule::kRmsPropCentered:
    case Rule::kRmsPropCenteredMomentum:
      SetMeanSquare(settings, s);
      s.decay_l2 = weight_decay;
      break;
    case Rule::kMomentum:
    case Rule::kNag:
      s.keep1 = settings.momentum;
      s.gain1 = update == 1 ? 1.0 : 1.0 - settings.dampening;
      s.decay_l2 = weight_decay;
      break;
    case Rule::kAdam:
    case Rule::kAmsGrad:
      SetAdaptiveMoments(settings, update, s);
      s.decay_l2 = weight_decay;
      break;
    case Rule::kAdamW:
    case Rule::kAmsGradW:
    case Rule::kLion:  // Uses no bias correction and no eps.
      SetAdaptiveMoments(settings, update, s);
      s.decay_in_update = weight_decay;
      break;
    case Rule::kRAdam:
      SetAdaptiveMoments(settings, update, s);
      SetRectification(settings, update, s);
      s.decay_l2 = weight_decay;
      break;
    case Rule::kNAdam:
      SetAdaptiveMoments(settings, update, s);
      SetNesterovMoments(settings, update, s);
      s.decay_l2 = weight_decay;
      break;
    case Rule::kAdaBound:
      SetAdaptiveMoments(settings, update, s);
      SetBounds(settings, update, learning_rate, s);
      s.decay_l2 = weight_decay;
      break;
    case Rule::kLamb:
      SetLamb(settings, update, learning_rate, weight_decay, s);
      break;
    case Rule::kLars:
      s.keep1 = settings.momentum;
      s.gain1 = update == 1 ? 1.0 : 1.0 - settings.dampening;
      s.decay_l2 = weight_decay;
      s.direct = settings.nesterov ? learning_rate : 0.0;
      s.rectified = settings.nesterov ? learning_rate * settings.momentum : learning_rate;
      break;
  }
  return s;
}

StepScalars ComputeStepScalars(const OptimizerSettings& settings, const GroupSettings& group,
                               int64_t update, double learning_rate, double clip_factor) {
  const Scalars exact =
      ComputeStepScalarsInDouble(settings, group, update, learning_rate, clip_factor);
  StepScalars rounded{};
  for (size_t i = 0; i < kStepScalarCount; ++i) {
    rounded.*kStepScalarFields<float>[i] = static_cast<float>(exact.*kStepScalarFields<double>[i]);
  }
  return rounded;
}

UpdateScaleTerms UpdateScaleTermsOf(const OptimizerSettings& settings, const GroupSettings& group,
                                    int64_t update, double learning_rate) {
  DROVER_CHECK(update >= 1);
  UpdateScaleTerms terms;
  if (InfoOf(settings.rule).rate_inside) return terms;
  terms.rate = learning_rate * group.learning_rate_scale;
  if (settings.rule == Rule::kAdagrad) {
    terms.divisor = 1.0 + static_cast<double>(update - 1) * settings.lr_decay;
  }
  if (settings.rule == Rule::kLamb && settings.bias_correction == BiasCorrection::kInLr) {
    terms.correction = std::sqrt(Bias(settings.beta2, update)) / Bias(settings.beta1, update);
  }
  return terms;
}

double UpdateScale(const OptimizerSettings& settings, const GroupSettings& group, int64_t update,
                   double learning_rate, double trust_ratio) {
  return UpdateScaleOf(UpdateScaleTermsOf(settings, group, update, learning_rate), trust_ratio);
}

double ClipFactor(const OptimizerSettings& settings, double global_norm) {
  if (settings.max_grad_norm == 0.0) return 1.0;
  return 1.0 / std::max(1.0, (global_norm + settings.clip_eps) / settings.max_grad_norm);
}

std::array<float, kStepScalarCount> ToFloats(const StepScalars& scalars) {
  std::array<float, kStepScalarCount> floats{};
  for (size_t i = 0; i < kStepScalarCount; ++i) floats[i] = scalars.*kStepScalarFields<float>[i];
  return floats;
}

Result<StepScalars> StepScalarsFromFloats(std::span<const float> floats) {
  if (floats.size() != kStepScalarCount) {
    return Status(Code::kInvalidArgument, fmt::format("{} step scalars came, expected {}",
                                                      floats.size(), kStepScalarCount));
  }
  StepScalars scalars{};
  for (size_t i = 0; i < kStepScalarCount; ++i) {
    if (!std::isfinite(floats[i])) {
      return Status(Code::kInvalidArgument,
                    fmt::format("step scalar {} is {}, expected a finite number", i, floats[i]));
    }
    scalars.*kStepScalarFields<float>[i] = floats[i];
  }
  return scalars;
}

}  // namespace drover
