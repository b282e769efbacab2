// What a job may choose about its update rule, as one plain struct, with the named LAMB dialects.
// Knows nothing of the wire, of tensors' values or of the learning rate (schedule.h). Pure values.

#ifndef DROVER_SERVER_OPTIM_SETTINGS_H_
#define DROVER_SERVER_OPTIM_SETTINGS_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "server/optim/name_pattern.h"
#include "server/optim/rule_state.h"

namespace drover {

// LAMB: where the start-up bias of the moments is removed. kInLr multiplies the whole step, decay
// included, by sqrt(1 - beta2^n) / (1 - beta1^n), so that the trust ratio does not see it.
enum class BiasCorrection { kBoth, kNone, kInLr };

// LAMB: sqrt(v) + eps, or sqrt(v + eps).
enum class EpsMode { kOutside, kInsideSqrt };

// LAMB: weight decay is added to the direction, or to the gradient, or shrinks the weights before
// their norm is taken (so both norms see the shrunken weights).
enum class DecayMode { kInUpdate, kL2, kDecoupledBefore };

// LAMB, LARS: which tensors outside `no_adapt` have a trust ratio; kIfDecay: those with decay.
enum class Adapt { kIfDecay, kAlways, kNever };

// Biases and the parameters of normalisation layers: neither decayed nor adapted by default. A
// zero-initialised bias would get a ratio near 1e-3 and never move.
std::vector<std::string> DefaultExclusions();

// Tensors that are treated apart: those whose name matches, and no group before does. What is not
// set is as for the others.
struct ParameterGroup {
  NamePattern match;
  std::optional<bool> decay;           // Whether they are decayed, whatever no_decay says.
  std::optional<double> weight_decay;  // >= 0. Instead of the rule's, whatever no_decay says.
  std::optional<bool> adapt;           // Have a trust ratio, whatever no_adapt and the mode say.
  double learning_rate_scale = 1.0;    // >= 0. Factor on the learning rate; 0 freezes them.

  friend bool operator==(const ParameterGroup&, const ParameterGroup&) = default;
};

// Least gamma and base_learning_rate of adabound.
inline constexpr double kAdaBoundMin = 1e-12;

// Fields that a rule does not use are ignored. The defaults here are those of no rule: begin with
// DefaultSettings or LambPreset.
struct OptimizerSettings {
  Rule rule = Rule::kSgd;

  double momentum = 0.0;   // [0, 1). The rules momentum, nag (also classic), rmsprop and lars.
  double dampening = 0.0;  // [0, 1]. momentum, nag, lars; not applied in the first update.
  bool nesterov = false;   // lars: its momentum is that of nag.
  double alpha = 0.99;     // [0, 1). rmsprop: share of the mean square that is kept.
  double lr_decay = 0.0;  // >= 0. adagrad: the rate of update n is divided by 1 + (n - 1) lr_decay.
  double initial_accumulator = 0.0;  // >= 0. adagrad: what the sum of squares begins at.
  double momentum_decay = 0.004;     // >= 0. nadam.
  double final_lr = 0.1;             // > 0. adabound: the rate that the bounds close in on ...
  double gamma = 1e-3;               // >= 1e-12, and how fast they do.
  double base_learning_rate = 1e-3;  // >= 1e-12. adabound: rate for which final_lr is meant.
  double trust_coefficient = 1e-3;   // > 0. lars: factor on the ratio.
  double beta1 = 0.9;                // [0, 1). The Adam family, lion, lamb.
  double beta2 = 0.999;              // [0, 1).
  double eps = 1e-8;                 // > 0.
  double weight_decay =
      0.0;  // >= 0. L2 for sgd, momentum, adam; decoupled for adamw; lamb: by mode.

  bool grad_averaging = true;  // lamb: g enters m times 1 - beta1, else times 1.
  BiasCorrection bias_correction = BiasCorrection::kBoth;
  EpsMode eps_mode = EpsMode::kOutside;
  DecayMode decay_mode = DecayMode::kInUpdate;
  Adapt adapt = Adapt::kAlways;
  double phi_min = 0.0;  // lamb: |w| is clamped to [phi_min, phi_max] before the ratio.
  double phi_max = std::numeric_limits<double>::infinity();
  double ratio_min = 0.0;  // lamb: the ratio is clamped to [ratio_min, ratio_max].
  double ratio_max = std::numeric_limits<double>::infinity();
  double ratio_eps = 0.0;  // lamb: added to |u| below the ratio.

  // All rules: the gradient of the whole model and batch is divided by
  // max(1, (norm + clip_eps) / max_grad_norm). 0: off.
  double max_grad_norm = 0.0;
  double clip_eps = 0.0;

  // All rules: Lookahead around them. 0: none, else updates from one synchronisation to the next.
  int64_t lookahead_every = 0;
  double lookahead_alpha = 0.5;  // [0, 1]. How far the slow weights move then.

  // Tensors whose name contains one of these, case-sensitive, are not decayed or not adapted.
  std::vector<std::string> no_decay = DefaultExclusions();
  std::vector<std::string> no_adapt = DefaultExclusions();

  // Before both lists; the first one whose pattern matches a name counts.
  std::vector<ParameterGroup> groups;

  friend bool operator==(const OptimizerSettings&, const OptimizerSettings&) = default;
};

// Every number among the settings, by the name that job files and known answers give it.
struct NumberSetting {
  std::string_view name;
  double OptimizerSettings::*field;
};
inline constexpr NumberSetting kNumberSettings[] = {
    {"momentum", &OptimizerSettings::momentum},
    {"dampening", &OptimizerSettings::dampening},
    {"alpha", &OptimizerSettings::alpha},
    {"lr_decay", &OptimizerSettings::lr_decay},
    {"initial_accumulator", &OptimizerSettings::initial_accumulator},
    {"momentum_decay", &OptimizerSettings::momentum_decay},
    {"final_lr", &OptimizerSettings::final_lr},
    {"gamma", &OptimizerSettings::gamma},
    {"base_learning_rate", &OptimizerSettings::base_learning_rate},
    {"trust_coefficient", &OptimizerSettings::trust_coefficient},
    {"beta1", &OptimizerSettings::beta1},
    {"beta2", &OptimizerSettings::beta2},
    {"eps", &OptimizerSettings::eps},
    {"weight_decay", &OptimizerSettings::weight_decay},
    {"phi_min", &OptimizerSettings::phi_min},
    {"phi_max", &OptimizerSettings::phi_max},
    {"ratio_min", &OptimizerSettings::ratio_min},
    {"ratio_max", &OptimizerSettings::ratio_max},
    {"ratio_eps", &OptimizerSettings::ratio_eps},
    {"max_grad_norm", &OptimizerSettings::max_grad_norm},
    {"clip_eps", &OptimizerSettings::clip_eps},
};

// Null when no number has this name.
constexpr const NumberSetting* FindNumberSetting(std::string_view name) {
  for (const NumberSetting& setting : kNumberSettings) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

// The usual settings of a rule: PyTorch's, momentum 0.9 for momentum, preset "tfa" for lamb.
OptimizerSettings DefaultSettings(Rule rule);

// What a job with these settings keeps per weight.
inline RuleState StateOf(const OptimizerSettings& settings) {
  return RuleState(settings.rule, settings.lookahead_every != 0);
}

// The row of RMSProp with these: each has as many state arrays as it needs.
Rule RmsPropRule(bool centered, double momentum);

// Rule lamb as one of: tfa, apex, nvlamb, nvlamb_picture, paper_v3, ymcui, cybertron, deepspeed,
// lambc (docs/optimizers.md). kInvalidArgument with this list for another name.
Result<OptimizerSettings> LambPreset(std::string_view name);

// kInvalidArgument naming the first field that is not finite or out of the range given above, the
// value, and what was expected.
Status Validate(const OptimizerSettings& settings);

// How one tensor is treated.
struct GroupSettings {
  bool decay;                                         // Weight decay applies.
  bool adapt;                                         // The trust ratio applies.
  double learning_rate_scale = 1.0;                   // Factor on the learning rate.
  std::optional<double> weight_decay = std::nullopt;  // Instead of the settings' when `decay`.

  friend bool operator==(const GroupSettings&, const GroupSettings&) = default;
};

// By the tensor's name. adapt is final: rule, mode, groups and both lists are accounted for.
GroupSettings GroupOf(const OptimizerSettings& settings, std::string_view tensor_name);

// As GroupOf, with the verdict of the two lists given and no groups.
GroupSettings MakeGroup(const OptimizerSettings& settings, bool may_decay, bool may_adapt);

// Weight decay of a tensor, 0 without.
double WeightDecayOf(const OptimizerSettings& settings, const GroupSettings& group);

// kInvalidArgument naming the first group that would change nothing of a model with these tensors,
// because it matches none or only such that a group before it matches.
Status CheckGroupsApply(const OptimizerSettings& settings, std::span<const std::string> tensors);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_SETTINGS_H_
