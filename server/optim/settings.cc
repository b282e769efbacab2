#include "server/optim/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "common/base/quote.h"

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

Status ValidateGroups(const std::vector<ParameterGroup>& groups) {
  for (const ParameterGroup& group : groups) {
    if (!IsNotNegative(group.learning_rate_scale)) {
      return OutOfRange("groups: learning_rate_scale", group.learning_rate_scale, "a number >= 0");
    }
    if (group.weight_decay && !IsNotNegative(*group.weight_decay)) {
      return OutOfRange("groups: weight_decay", *group.weight_decay, "a number >= 0");
    }
  }
  return Status();
}

// The index of the group of a tensor; their number when it is in none.
size_t IndexOfGroup(const OptimizerSettings& settings, std::string_view tensor_name) {
  const auto found =
      std::find_if(settings.groups.begin(), settings.groups.end(),
                   [&](const ParameterGroup& group) { return group.match.Matches(tensor_name); });
  return static_cast<size_t>(found - settings.groups.begin());
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
  // The bounds are divided by these two: smaller ones would leave float32.
  if (!(s.gamma >= kAdaBoundMin && std::isfinite(s.gamma))) {
    return OutOfRange("gamma", s.gamma, "a number >= 1e-12");
  }
  if (!(s.base_learning_rate >= kAdaBoundMin && std::isfinite(s.base_learning_rate))) {
    return OutOfRange("base_learning_rate", s.base_learning_rate, "a number >= 1e-12");
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
  DROVER_RETURN_IF_ERROR(ValidateGroups(s.groups));
  DROVER_RETURN_IF_ERROR(ValidateNames("no_decay", s.no_decay));
  return ValidateNames("no_adapt", s.no_adapt);
}

GroupSettings GroupOf(const OptimizerSettings& settings, std::string_view tensor_name) {
  const bool may_decay = !ContainsAny(tensor_name, settings.no_decay);
  const bool may_adapt = !ContainsAny(tensor_name, settings.no_adapt);
  const size_t index = IndexOfGroup(settings, tensor_name);
  if (index == settings.groups.size()) return MakeGroup(settings, may_decay, may_adapt);
  const ParameterGroup& apart = settings.groups[index];
  OptimizerSettings own = settings;
  own.weight_decay = apart.weight_decay.value_or(settings.weight_decay);
  GroupSettings group =
      MakeGroup(own, apart.decay.value_or(may_decay || apart.weight_decay.has_value()), may_adapt);
  if (apart.adapt) group.adapt = InfoOf(settings.rule).trust_ratio && *apart.adapt;
  group.learning_rate_scale = apart.learning_rate_scale;
  if (group.decay) group.weight_decay = apart.weight_decay;
  return group;
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

double WeightDecayOf(const OptimizerSettings& settings, const GroupSettings& group) {
  return group.decay ? group.weight_decay.value_or(settings.weight_decay) : 0.0;
}

Status CheckGroupsApply(const OptimizerSettings& settings, std::span<const std::string> tensors) {
  std::vector<bool> applies(settings.groups.size(), false);
  for (const std::string& tensor : tensors) {
    const size_t index = IndexOfGroup(settings, tensor);
    if (index < applies.size()) applies[index] = true;
  }
  for (size_t i = 0; i < applies.size(); ++i) {
    if (applies[i]) continue;
    const NamePattern& match = settings.groups[i].match;
    const bool taken = std::any_of(tensors.begin(), tensors.end(), [&](const std::string& tensor) {
      return match.Matches(tensor);
    });
    constexpr size_t kShown = 8;
    const auto shown = tensors.first(std::min(kShown, tensors.size()));
    return Status(
        Code::kInvalidArgument,
        fmt::format("optimizer.groups[{}].match: {} {}; the tensors are {}{}", i,
                    Quote(match.text()),
                    taken ? "matches only tensors that a group before it matches"
                          : "matches no tensor of the model",
                    fmt::join(shown, ", "), shown.size() < tensors.size() ? ", ..." : ""));
  }
  return Status();
}

}  // namespace drover
