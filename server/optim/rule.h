// The table of update rules. A rule is a direction, a number of float32 state slots per weight, and
// what scales its step. A new rule is one row here, one function in elementwise.h with its line in
// direction.h, and its known answers. Constants only.

#ifndef DROVER_SERVER_OPTIM_RULE_H_
#define DROVER_SERVER_OPTIM_RULE_H_

#include <array>
#include <cstddef>
#include <string_view>

namespace drover {

enum class Rule {
  kSgd,
  kMomentum,
  kMomentumClassic,
  kNag,
  kNagClassic,
  kAdagrad,
  kRmsProp,
  kRmsPropMomentum,
  kRmsPropCentered,
  kRmsPropCenteredMomentum,
  kAdam,
  kAdamW,
  kAmsGrad,
  kAmsGradW,
  kRAdam,
  kNAdam,
  kLion,
  kAdaBound,
  kLamb,
  kLars,
};

// The most state slots that any rule may have.
inline constexpr int kSlotsMax = 3;

struct RuleInfo {
  Rule rule;
  std::string_view name;  // In checkpoints and known answers. A job file may say it otherwise.
  int slots;         // float32 state arrays, each the shape of the weight, zero before update 1.
  bool trust_ratio;  // Each tensor is scaled by a quotient of norms: needs the measure pass.
  bool rate_inside;  // The learning rate is in the direction already, and scales nothing.
  // The ratio scales the gradient with its decay, before they enter the state, and not the step;
  // so it is measured on the gradient.
  bool ratio_on_gradient = false;
};

inline constexpr std::array<RuleInfo, 20> kRules = {{
    {Rule::kSgd, "sgd", 0, false, false},
    {Rule::kMomentum, "momentum", 1, false, false},
    {Rule::kMomentumClassic, "momentum_classic", 1, false, true},
    {Rule::kNag, "nag", 1, false, false},
    {Rule::kNagClassic, "nag_classic", 1, false, true},
    {Rule::kAdagrad, "adagrad", 1, false, false},
    {Rule::kRmsProp, "rmsprop", 1, false, false},
    {Rule::kRmsPropMomentum, "rmsprop_momentum", 2, false, false},
    {Rule::kRmsPropCentered, "rmsprop_centered", 2, false, false},
    {Rule::kRmsPropCenteredMomentum, "rmsprop_centered_momentum", 3, false, false},
    {Rule::kAdam, "adam", 2, false, false},
    {Rule::kAdamW, "adamw", 2, false, false},
    {Rule::kAmsGrad, "amsgrad", 3, false, false},
    {Rule::kAmsGradW, "amsgradw", 3, false, false},
    {Rule::kRAdam, "radam", 2, false, false},
    {Rule::kNAdam, "nadam", 2, false, false},
    {Rule::kLion, "lion", 1, false, false},
    {Rule::kAdaBound, "adabound", 2, false, true},
    {Rule::kLamb, "lamb", 2, true, false},
    {Rule::kLars, "lars", 1, true, true, true},
}};

constexpr const RuleInfo& InfoOf(Rule rule) { return kRules[static_cast<size_t>(rule)]; }

// Null when no rule has this name.
constexpr const RuleInfo* FindRule(std::string_view name) {
  for (const RuleInfo& info : kRules) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

constexpr bool RuleTableIsSound() {
  for (size_t i = 0; i < kRules.size(); ++i) {
    if (static_cast<size_t>(kRules[i].rule) != i || kRules[i].slots > kSlotsMax) return false;
  }
  return true;
}
static_assert(RuleTableIsSound(), "rows stand in the order of the enum");

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_RULE_H_
