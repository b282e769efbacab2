#include "server/optim/settings.h"

#include <fmt/format.h>

#include <cmath>

namespace drover {
namespace {

Status OutOfRange(std::string_view field, double value, std::string_view expected) {
  return Status(Code::kInvalidArgument,
                fmt::format("optimizer {} is {}, expected {}", field, value, expected));
}

// Each false for NaN.
bool IsShare(double value) { return value >= 0.0 && value < 1.0; }
bool IsNotNegative(double value) { return value >= 0.0 && std::isfinite(value); }
bool IsPositive(double value) { return value > 0.0 && std::isfinite(value); }
bool IsLimit(double value) { return value > 0.0; }  // Infinity is no limit.

Status ValidateNames(std::string_view field, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.empty()) {
      return Status(Code::kInvalidArgument,
                    fmt::format("optimizer {} contains an empty name, which every tensor's name "
                                "contains; expected parts of names such as \"bias\"",
                                field));
    }
  }
  return Status();
}

Status ValidateLimits(const OptimizerSettings& s) {
  if (!IsNotNegative(s.phi_min)) return OutOfRange("phi_min", s.phi_min, "a number >= 0");
  if (!IsLimit(s.phi_max) || s.phi_max < s.phi_min) {
    return OutOfRange("phi_max", s.phi_max, "> 0 and >= phi_min, or infinity for no limit");
  }
  if (!IsNotNegative(s.ratio_min)) return OutOfRange("ratio_min", s.ratio_min, "a number >= 0");
  if (!IsLimit(s.ratio_max) || s.ratio_max < s.ratio_min) {
    return OutOfRange("ratio_max", s.ratio_max, "> 0 and >= ratio_min, or infinity for no limit");
  }
  if (!IsNotNegative(s.ratio_eps)) return OutOfRange("ratio_eps", s.ratio_eps, "a number >= 0");
  if (!IsNotNegative(s.max_grad_norm)) {
    return OutOfRange("max_grad_norm", s.max_grad_norm, "a number > 0, or 0 for no clipping");
  }
  if (!IsNotNegative(s.clip_eps)) return OutOfRange("clip_eps", s.clip_eps, "a number >= 0");
  return Status();
}

bool ContainsAny(std::string_view tensor_name, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (tensor_name.find(part) != std::string_view::npos) return true;
  }
  return false;
}

OptimizerSettings LambBase() {
  OptimizerSettings s;
  s.rule = Rule::kLamb;
  s.eps = 1e-6;
  s.weight_decay = 0.01;
  s.no_adapt = {};
  return s;
}

}  // namespace

std::vector<std::string> DefaultExclusions() {
  return {"bias", "gamma", "beta", "LayerNorm", "layer_norm"};
}

OptimizerSettings DefaultSettings(Rule rule) {
  OptimizerSettings s;
  s.rule = rule;
  switch (rule) {
    case Rule::kSgd:
    case Rule::kRmsProp:
    case Rule::kRmsPropCentered:
    case Rule::kAdam:
    case Rule::kAmsGrad:
    case Rule::kRAdam:
    case Rule::kNAdam:
    case Rule::kAdaBound:
      break;
    case Rule::kMomentum:
    case Rule::kMomentumClassic:
    case Rule::kNag:
    case Rule::kNagClassic:
    case Rule::kRmsPropMomentum:
    case Rule::kRmsPropCenteredMomentum:
      s.momentum = 0.9;
      break;
    case Rule::kAdagrad:
      s.eps = 1e-10;
      break;
    case Rule::kLion:
      s.beta2 = 0.99;
      break;
    case Rule::kAmsGradW:
    case Rule::kAdamW:
      s.weight_decay = 0.01;
      break;
    case Rule::kLars:
      s.momentum = 0.9;
      s.weight_decay = 1e-4;  // Without decay nothing is adapted.
      s.adapt = Adapt::kIfDecay;
      break;
    case Rule::kLamb:
      s = LambBase();
      s.no_adapt = s.no_decay;
      break;
  }
  return s;
}

Rule RmsPropRule(bool centered, double momentum) {
  if (momentum == 0.0) return centered ? Rule::kRmsPropCentered : Rule::kRmsProp;
  return centered ? Rule::kRmsPropCenteredMomentum : Rule::kRmsPropMomentum;
}

Result<OptimizerSettings> LambPreset(std::string_view name) {
  OptimizerSettings s = LambBase();
  if (name == "tfa") {
    s.no_adapt = s.no_decay;
  } else if (name == "apex") {
    s.adapt = Adapt::kIfDecay;
    s.max_grad_norm = 1.0;
  } else if (name == "nvlamb") {
    s.max_grad_norm = 1.0;
  } else if (name == "nvlamb_picture") {
    s.eps_mode = EpsMode::kInsideSqrt;
    s.max_grad_norm = 1.0;
  } else if (name == "paper_v3") {
    s.bias_correction = BiasCorrection::kNone;
    s.max_grad_norm = 1.0;
  } else if (name == "ymcui") {
    s.bias_correction = BiasCorrection::kNone;
    s.no_decay = {};
  } else if (name == "cybertron") {
    s.bias_correction = BiasCorrection::kNone;
    s.phi_max = 10.0;
    s.no_decay = {};
  } else if (name == "deepspeed") {
    s.bias_correction = BiasCorrection::kInLr;
    s.eps = 1e-8;
    s.ratio_min = 0.01;
    s.ratio_max = 10.0;
    s.clip_eps = 1e-6;
  } else if (name == "lambc") {
    s.adapt = Adapt::kIfDecay;
    s.ratio_max = 1.0;
    s.max_grad_norm = 1.0;
  } else {
    return Status(Code::kInvalidArgument,
                  fmt::format("LAMB preset \"{}\" is unknown, expected one of tfa, apex, nvlamb, "
                              "nvlamb_picture, paper_v3, ymcui, cybertron, deepspeed, lambc",
                              name));
  }
  return s;
}

Status Validate(const OptimizerSettings& s) {
  if (!IsShare(s.momentum)) return OutOfRange("momentum", s.momentum, "0 <= momentum < 1");
  if (!(s.dampening >= 0.0 && s.dampening <= 1.0)) {
    return OutOfRange("dampening", s.dampening, "0 <= dampening <= 1");
  }
  if (!IsShare(s.alpha)) return OutOfRange("alpha", s.alpha, "0 <= alpha < 1");
  if (!IsNotNegative(s.lr_decay)) return OutOfRange("lr_decay", s.lr_decay, "a number >= 0");
  if (!IsNotNegative(s.initial_accumulator)) {
    return OutOfRange("initial_accumulator", s.initial_accumulator, "a number >= 0");
  }
  if (!IsNotNegative(s.momentum_decay)) {
    return OutOfRange("momentum_decay", s.momentum_decay, "a number >= 0");
  }
  if (!IsPositive(s.final_lr)) return OutOfRange("final_lr", s.final_lr, "a number > 0");
  if (!IsPositive(s.gamma)) return OutOfRange("gamma", s.gamma, "a number > 0");
  if (!IsPositive(s.base_learning_rate)) {
    return OutOfRange("base_learning_rate", s.base_learning_rate, "a number > 0");
  }
  if (!IsPositive(s.trust_coefficient)) {
    return OutOfRange("trust_coefficient", s.trust_coefficient, "a number > 0");
  }
  if (!IsShare(s.beta1)) return OutOfRange("beta1", s.beta1, "0 <= beta1 < 1");
  if (!IsShare(s.beta2)) return OutOfRange("beta2", s.beta2, "0 <= beta2 < 1");
  // 0 would make 0 / 0 of a weight that never had a gradient; smaller ones are 0 in float32.
  if (!(s.eps >= 1e-30 && std::isfinite(s.eps))) {
    return OutOfRange("eps", s.eps, "a number >= 1e-30");
  }
  if (!IsNotNegative(s.weight_decay)) {
    return OutOfRange("weight_decay", s.weight_decay, "a number >= 0");
  }
  if (s.lookahead_every < 0) {
    return OutOfRange("lookahead k", static_cast<double>(s.lookahead_every), "a number >= 0");
  }
  if (!(s.lookahead_alpha >= 0.0 && s.lookahead_alpha <= 1.0)) {
    return OutOfRange("lookahead alpha", s.lookahead_alpha, "0 <= alpha <= 1");
  }
  DROVER_RETURN_IF_ERROR(ValidateLimits(s));
  DROVER_RETURN_IF_ERROR(ValidateNames("no_decay", s.no_decay));
  return ValidateNames("no_adapt", s.no_adapt);
}

GroupSettings GroupOf(const OptimizerSettings& settings, std::string_view tensor_name) {
  return MakeGroup(settings, /*may_decay=*/!ContainsAny(tensor_name, settings.no_decay),
                   /*may_adapt=*/!ContainsAny(tensor_name, settings.no_adapt));
}

GroupSettings MakeGroup(const OptimizerSettings& settings, bool may_decay, bool may_adapt) {
  GroupSettings group{may_decay && settings.weight_decay != 0.0, false};
  if (!InfoOf(settings.rule).trust_ratio) return group;
  switch (settings.adapt) {
    case Adapt::kIfDecay:
      group.adapt = may_adapt && group.decay;
      break;
    case Adapt::kAlways:
      group.adapt = may_adapt;
      break;
    case Adapt::kNever:
      break;
  }
  return group;
}

}  // namespace drover
