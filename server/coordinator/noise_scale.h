// How large a batch is still worth its samples: the simple gradient noise scale, after McCandlish,
// Kaplan, Amodei, "An Empirical Model of Large-Batch Training" (2018), appendix A.1. Each step has
// gradients over two batch sizes, b (a leaf) and B (all leaves), and E|g_n|^2 = |G|^2 + tr(S) / n:
//
//   |G|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b)
//   tr(S) = (|g_b|^2 - |g_B|^2) / (1/b - 1/B)
//
// with |g_b|^2 the mean over the leaves. Both are unbiased, whatever b and B, and noisy: each gets
// an exponential average of its own, and the scale is tr(S) / |G|^2, in samples. The averages are a
// fold over the committed steps, so a takeover changes nothing. Pure; thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_NOISE_SCALE_H_
#define DROVER_SERVER_COORDINATOR_NOISE_SCALE_H_

#include <cstdint>
#include <optional>

namespace drover {

// Averages over the last hundred steps or so: what one step says has an error of its own size.
inline constexpr double kNoiseDecay = 0.99;

struct NoiseState {
  double gradient_square = 0;  // Of |G|^2, not corrected for its beginning at 0,
  double trace = 0;            // nor of tr(S):
  double weight = 0;           // both are to be divided by this. 0 = no step yet.

  friend bool operator==(const NoiseState&, const NoiseState&) = default;
};

struct NoiseSample {
  double leaf_squares = 0;   // Sum over the leaves of |sum of the gradients of its samples|^2.
  int64_t leaves = 0;        // At least 2.
  int64_t leaf_samples = 0;  // b.
  double gradient_norm = 0;  // |g_B|, before clipping.
};
void AddNoise(const NoiseSample& sample, NoiseState* state);

// Nothing before the first step, and while noise hides the sign of one of the averages: then there
// is no such number.
std::optional<double> NoiseScaleOf(const NoiseState& state);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_NOISE_SCALE_H_
