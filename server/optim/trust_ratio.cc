#include "server/optim/trust_ratio.h"

namespace drover {

TrustRatioTerms TrustRatioTermsOf(const OptimizerSettings& settings, const GroupSettings& group) {
  TrustRatioTerms terms;
  terms.adapt = group.adapt;
  terms.lars = settings.rule == Rule::kLars;
  terms.phi_min = settings.phi_min;
  terms.phi_max = settings.phi_max;
  terms.ratio_min = settings.ratio_min;
  terms.ratio_max = settings.ratio_max;
  terms.ratio_eps = settings.ratio_eps;
  terms.trust_coefficient = settings.trust_coefficient;
  terms.weight_decay = WeightDecayOf(settings, group);
  terms.eps = settings.eps;
  return terms;
}

TrustRatio ComputeTrustRatio(const OptimizerSettings& settings, const GroupSettings& group,
                             double weight_norm, double direction_norm) {
  return TrustRatioOf(TrustRatioTermsOf(settings, group), weight_norm, direction_norm);
}

}  // namespace drover
