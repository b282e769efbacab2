// What is kept per weight beside the weight: the state slots of a rule and, with Lookahead around
// it, the slow weights. Its name stands in checkpoints and shard files. Plain values, any thread.

#ifndef DROVER_SERVER_OPTIM_RULE_STATE_H_
#define DROVER_SERVER_OPTIM_RULE_STATE_H_

#include <optional>
#include <string>
#include <string_view>

#include "server/optim/rule.h"

namespace drover {

struct RuleState {
  RuleState() = default;
  // Not explicit: most rules stand alone.
  RuleState(Rule the_rule, bool with_lookahead = false)
      : rule(the_rule), lookahead(with_lookahead) {}

  // float32 arrays of the shape of the weight: the slots, then the slow weights. All zero before
  // the first update.
  int arrays() const { return InfoOf(rule).slots + (lookahead ? 1 : 0); }

  // "adam", "lookahead_adam".
  std::string name() const {
    return (lookahead ? std::string(kLookaheadPrefix) : std::string()) +
           std::string(InfoOf(rule).name);
  }

  friend bool operator==(const RuleState&, const RuleState&) = default;

  static constexpr std::string_view kLookaheadPrefix = "lookahead_";

  Rule rule = Rule::kSgd;
  bool lookahead = false;
};

// None when no state has this name.
inline std::optional<RuleState> FindRuleState(std::string_view name) {
  const bool lookahead = name.starts_with(RuleState::kLookaheadPrefix);
  if (lookahead) name.remove_prefix(RuleState::kLookaheadPrefix.size());
  const RuleInfo* info = FindRule(name);
  if (info == nullptr) return std::nullopt;
  return RuleState(info->rule, lookahead);
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_RULE_STATE_H_
