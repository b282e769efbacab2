// The layer-wise trust ratio of LAMB and LARS: how far a tensor moves in proportion to its size.
// Norms are those of the whole tensor, never of a block, chunk or shard. Pure.

#ifndef DROVER_SERVER_OPTIM_TRUST_RATIO_H_
#define DROVER_SERVER_OPTIM_TRUST_RATIO_H_

#include "server/optim/settings.h"
#include "server/optim/trust_ratio_formula.h"

namespace drover {

// What TrustRatioOf needs of a group.
TrustRatioTerms TrustRatioTermsOf(const OptimizerSettings& settings, const GroupSettings& group);

// LAMB: clamp(clamp(|w|, phi_min, phi_max) / (|u| + ratio_eps), ratio_min, ratio_max).
// LARS: trust_coefficient * |w| / (|g| + weight_decay * |w| + eps), direction_norm = |g|.
// Exactly 1 for a tensor that is not adapted and for one of whose norms one is 0. Norms are finite
// and not negative.
TrustRatio ComputeTrustRatio(const OptimizerSettings& settings, const GroupSettings& group,
                             double weight_norm, double direction_norm);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_TRUST_RATIO_H_
