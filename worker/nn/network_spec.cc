#include "worker/nn/network_spec.h"

#include <cmath>

#include "common/base/check.h"

namespace drover {
namespace {

// Uniform in [-bound, bound) has the variance bound^2 / 3.
InitRule UniformOfVariance(double variance) {
  return {.kind = InitRule::Kind::kUniform, .value = static_cast<float>(std::sqrt(3.0 * variance))};
}

}  // namespace

InitRule MakeInitRule(const WeightInit& init, int64_t fan_in, int64_t fan_out) {
  const double in = static_cast<double>(fan_in);
  const double out = static_cast<double>(fan_out);
  switch (init.kind) {
    case WeightInit::Kind::kHe:
      return UniformOfVariance(2.0 / in);
    case WeightInit::Kind::kLecun:
      return UniformOfVariance(1.0 / in);
    case WeightInit::Kind::kGlorot:
      return UniformOfVariance(2.0 / (in + out));
    case WeightInit::Kind::kNormal:
      return {.kind = InitRule::Kind::kNormal, .value = static_cast<float>(init.deviation)};
  }
  DROVER_CHECK(false);
}

InitRule MakeBiasInit(double deviation) {
  if (deviation == 0.0) return {};
  return {.kind = InitRule::Kind::kNormal, .value = static_cast<float>(deviation)};
}

}  // namespace drover
