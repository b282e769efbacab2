// The table of update rules. A rule is a direction, a number of float32 state slots per weight, and
// whether a trust ratio per tensor scales its step. A new rule is one row here, one function in
// elementwise.h, one case in update_cpu_kernels.cc and its known answers. Constants only.

#ifndef DROVER_SERVER_OPTIM_RULE_H_
#define DROVER_SERVER_OPTIM_RULE_H_

#include <array>
#include <cstddef>
#include <string_view>

namespace drover {

enum class Rule { kSgd, kMomentum, kAdam, kAdamW, kLamb };

// The most state slots that any rule may have.
inline constexpr int kSlotsMax = 3;

struct RuleInfo {
  Rule rule;
  std::string_view name;  // As written in a job file.
  int slots;         // float32 state arrays, each the shape of the weight, zero before update 1.
  bool trust_ratio;  // The step of each tensor is scaled by |w| / |u|: needs the measure pass.
};

inline constexpr std::array<RuleInfo, 5> kRules = {{
    {Rule::kSgd, "sgd", 0, false},
    {Rule::kMomentum, "momentum", 1, false},
    {Rule::kAdam, "adam", 2, false},
    {Rule::kAdamW, "adamw", 2, false},
    {Rule::kLamb, "lamb", 2, true},
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
