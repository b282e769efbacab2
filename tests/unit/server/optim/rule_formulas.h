// The formulas of elementwise.h by rule, for the slow loops of tests.

#ifndef DROVER_TESTS_UNIT_SERVER_OPTIM_RULE_FORMULAS_H_
#define DROVER_TESTS_UNIT_SERVER_OPTIM_RULE_FORMULAS_H_

#include <array>
#include <cstddef>
#include <utility>

#include "server/optim/direction.h"

namespace drover {

struct RuleFormulas {
  float (*direction)(const StepScalars& s, Element& e);
  float (*measured)(const StepScalars& s, Element& e);
  StepScalars (*with_scale)(StepScalars s, float scale);
  float (*step_factor)(float scale);
};

template <size_t... kIndex>
RuleFormulas RuleFormulasAt(size_t index, std::index_sequence<kIndex...>) {
  constexpr std::array<RuleFormulas, sizeof...(kIndex)> kFormulas = {RuleFormulas{
      &Direction<kRules[kIndex].rule, float>, &MeasuredDirection<kRules[kIndex].rule, float>,
      &ScalarsWithScale<kRules[kIndex].rule, float>, &StepFactor<kRules[kIndex].rule, float>}...};
  return kFormulas[index];
}

inline RuleFormulas RuleFormulasOf(Rule rule) {
  return RuleFormulasAt(static_cast<size_t>(rule), std::make_index_sequence<kRules.size()>());
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_OPTIM_RULE_FORMULAS_H_
