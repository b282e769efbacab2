// Constants of one update and one parameter group: everything that does not differ from weight to
// weight, in double, rounded to float32 once. One process computes them and the others are told,
// so that no difference of mathematics libraries can reach a weight. Pure.

#ifndef DROVER_SERVER_OPTIM_STEP_SCALARS_H_
#define DROVER_SERVER_OPTIM_STEP_SCALARS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/status.h"
#include "server/optim/elementwise.h"
#include "server/optim/settings.h"
#include "server/optim/trust_ratio_formula.h"

namespace drover {

// The fields of StepScalars in the order in which they are sent.
template <typename Real>
inline constexpr std::array kStepScalarFields = {
    &StepScalarsOf<Real>::clip,
    &StepScalarsOf<Real>::keep1,
    &StepScalarsOf<Real>::gain1,
    &StepScalarsOf<Real>::keep2,
    &StepScalarsOf<Real>::gain2,
    &StepScalarsOf<Real>::inv_bias1,
    &StepScalarsOf<Real>::inv_bias2,
    &StepScalarsOf<Real>::eps_outside,
    &StepScalarsOf<Real>::eps_inside,
    &StepScalarsOf<Real>::decay_l2,
    &StepScalarsOf<Real>::decay_in_update,
    &StepScalarsOf<Real>::decay_before,
    &StepScalarsOf<Real>::direct,
    &StepScalarsOf<Real>::rectified,
    &StepScalarsOf<Real>::bound_low,
    &StepScalarsOf<Real>::bound_high,
};
inline constexpr size_t kStepScalarCount = kStepScalarFields<float>.size();
static_assert(sizeof(StepScalars) == kStepScalarCount * sizeof(float), "a field is not listed");

// `update` counts applied updates from 1; `learning_rate`, without the scale of the group, is used
// by DecayMode::kDecoupledBefore and by rules with the rate inside; `clip_factor` is ClipFactor's.
// All of it from valid settings.
StepScalars ComputeStepScalars(const OptimizerSettings& settings, const GroupSettings& group,
                               int64_t update, double learning_rate, double clip_factor);

// The same before rounding.
StepScalarsOf<double> ComputeStepScalarsInDouble(const OptimizerSettings& settings,
                                                 const GroupSettings& group, int64_t update,
                                                 double learning_rate, double clip_factor);

// What UpdateScaleOf needs of a group and an update.
UpdateScaleTerms UpdateScaleTermsOf(const OptimizerSettings& settings, const GroupSettings& group,
                                    int64_t update, double learning_rate);

// What multiplies the direction, or the gradient: learning rate (unless it is inside), trust ratio
// (1 for rules without), the bias correction of BiasCorrection::kInLr, and Adagrad's own decay.
// Round to float32 once, for CpuPasses::apply.
double UpdateScale(const OptimizerSettings& settings, const GroupSettings& group, int64_t update,
                   double learning_rate, double trust_ratio);

// Factor on the gradient, in (0, 1]. `global_norm`: finite root of the sum of squares of the mean
// gradient over the whole model.
double ClipFactor(const OptimizerSettings& settings, double global_norm);

// For the wire: the fields in order, and back. kInvalidArgument on another count or a value that is
// not finite.
std::array<float, kStepScalarCount> ToFloats(const StepScalars& scalars);
Result<StepScalars> StepScalarsFromFloats(std::span<const float> floats);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_STEP_SCALARS_H_
