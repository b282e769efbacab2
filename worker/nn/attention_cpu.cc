#include <bit>
#include <cmath>
#include <cstdint>

#include "worker/nn/attention.h"
#include "worker/nn/float_exp.h"
#include "worker/nn/lane_sum.h"
#include "worker/nn/simd_cpu.h"

namespace drover {
namespace {

// 0 where the sign bit is set, else p * scale.
inline float Kept(float p, float scale) { return std::bit_cast<int32_t>(p) < 0 ? 0.0f : p * scale; }

}  // namespace

DROVER_SIMD
void SoftmaxRowsCpu(int64_t rows, int64_t length, float* scores) {
  for (int64_t row = 0; row < rows; ++row) {
    float* s = scores + row * length;
    const float largest = LaneMax(s, length);
    for (int64_t j = 0; j < length; ++j) s[j] = ExpOfNonPositive(s[j] - largest);
    const float inverse = 1.0f / LaneSum(s, length);
    for (int64_t j = 0; j < length; ++j) s[j] *= inverse;
  }
}

DROVER_SIMD
void KeptProbabilitiesCpu(int64_t count, float scale, const float* probabilities, float* kept) {
  for (int64_t i = 0; i < count; ++i) kept[i] = Kept(probabilities[i], scale);
}

DROVER_SIMD
void SoftmaxRowsBackwardCpu(int64_t rows, int64_t length, float scale, const float* probabilities,
                            float* gradient) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* p = probabilities + row * length;
    float* g = gradient + row * length;
    // With g the gradient of the kept p * scale, a dropped one has no part in the loss:
    // d loss / d s_j = p_j (g'_j - sum_i p_i g'_i), where p_i g'_i = kept_i g_i.
    float lanes[kSumLanes] = {};
    int64_t i = 0;
    for (; i + kSumLanes <= length; i += kSumLanes) {
      for (int64_t lane = 0; lane < kSumLanes; ++lane) {
        g[i + lane] *= Kept(p[i + lane], scale);
        lanes[lane] += g[i + lane];
      }
    }
    for (int64_t lane = 0; i < length; ++i, ++lane) {
      g[i] *= Kept(p[i], scale);
      lanes[lane] += g[i];
    }
    const float sum = AddLanes(lanes);
    for (int64_t j = 0; j < length; ++j) g[j] -= std::fabs(p[j]) * sum;
  }
}

}  // namespace drover
