#include "server/coordinator/noise_scale.h"

namespace drover {

void AddNoise(const NoiseSample& sample, NoiseState* state) {
  const double leaves = static_cast<double>(sample.leaves);
  const double small = static_cast<double>(sample.leaf_samples);  // b.
  const double large = leaves * small;                            // B.
  const double small_square = sample.leaf_squares / leaves / (small * small);
  const double large_square = sample.gradient_norm * sample.gradient_norm;
  const double gradient_square = (large * large_square - small * small_square) / (large - small);
  const double trace = (small_square - large_square) / (1.0 / small - 1.0 / large);
  const auto fold = [](double value, double* average) {
    *average = kNoiseDecay * *average + (1.0 - kNoiseDecay) * value;
  };
  fold(gradient_square, &state->gradient_square);
  fold(trace, &state->trace);
  fold(1.0, &state->weight);
}

std::optional<double> NoiseScaleOf(const NoiseState& state) {
  if (!(state.gradient_square > 0.0) || !(state.trace > 0.0)) return std::nullopt;
  return state.trace / state.gradient_square;  // The weights cancel.
}

}  // namespace drover
