// Gradients as 64-bit fixed point, the reason why no order of arrival changes a bit: integer sums
// are associative. q = llrint(g * 2^F), to nearest even, F = fraction bits, a constant of the job.
// Each pass exists for three instruction sets with the same bits. Thread-safe: no state here.
//
// Range: with |leaf sum| < 2^14 * samples of the leaf and F = 48 - ceil(log2 batch), the sum over a
// whole batch stays below 2^62. Check with find_bad_* before storing or adding: the passes
// themselves assume values in range.

#ifndef DROVER_COMMON_TENSOR_FIXED_POINT_H_
#define DROVER_COMMON_TENSOR_FIXED_POINT_H_

#include <cstddef>
#include <cstdint>

#include "common/base/cpu_features.h"

namespace drover {

inline constexpr int kFractionBitsMax = 48;

// F = 48 - ceil(log2 batch): the mean gradient has a resolution of 2^-48 whatever the batch.
// `batch` in samples, 1 to 2^40.
int DefaultFractionBits(int64_t batch);

// A gradient sum over `samples` samples is in range when |g| < 2^14 * samples.
float LeafLimit(int64_t samples);

// The same limit in fixed point: |q| < 2^(14 + F) * samples. The product must not exceed 2^62.
int64_t FixedPointLimit(int64_t samples, int fraction_bits);

// 2^F, and 2^-F / samples: what the passes below multiply by.
double FixedPointScale(int fraction_bits);
double FixedPointMeanFactor(int fraction_bits, int64_t samples);

// `count` elements each. Inputs of type const void* need no alignment (received bytes).
struct FixedPointPasses {
  // Index of the first element of float32 `gradient` that is not finite or not |g| < limit, or -1.
  int64_t (*find_bad_f32)(const void* gradient, size_t count, float limit);
  // Index of the first element of int64 `sums` that is not |q| < limit, or -1.
  int64_t (*find_bad_i64)(const void* sums, size_t count, int64_t limit);

  // sums = q(gradient), sums += q(gradient), sums -= q(gradient); `scale` is 2^F.
  void (*store_f32)(const void* gradient, size_t count, double scale, int64_t* sums);
  void (*add_f32)(const void* gradient, size_t count, double scale, int64_t* sums);
  void (*subtract_f32)(const void* gradient, size_t count, double scale, int64_t* sums);

  // sums += other, sums -= other; storing is a memcpy.
  void (*add_i64)(const void* other, size_t count, int64_t* sums);
  void (*subtract_i64)(const void* other, size_t count, int64_t* sums);

  // mean = float32(double(sums) * factor); returns the sum of squares of the results, in the order
  // of square_sum.h. `mean` may begin where `sums` begins, or before it: the result then replaces
  // the front of the sums.
  double (*mean)(const int64_t* sums, size_t count, double factor, float* mean);
  // The sum of squares of `values`, as `mean` adds them.
  double (*sum_squares)(const float* values, size_t count);
};

// `isa` must run on this CPU; BestIsa() is the fastest that does.
const FixedPointPasses& FixedPointPassesFor(Isa isa);

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_FIXED_POINT_H_
