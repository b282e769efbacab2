// Sums in a fixed order that compilers can vectorise: value i goes to lane i mod 16, then the lanes
// are added as a tree. Same bits on every instruction set. Inline; pure.

#ifndef DROVER_WORKER_NN_LANE_SUM_H_
#define DROVER_WORKER_NN_LANE_SUM_H_

#include <cstdint>

namespace drover {

inline constexpr int64_t kSumLanes = 16;

// `lanes`: [kSumLanes], overwritten.
template <typename T>
T AddLanes(T* lanes) {
  for (int64_t half = kSumLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// values: [count].
inline float LaneSum(const float* values, int64_t count) {
  float lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += values[i + lane];
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i];
  return AddLanes(lanes);
}

// The largest of [count] values, at least 1. A NaN may be passed over.
inline float LaneMax(const float* values, int64_t count) {
  float lanes[kSumLanes];
  for (float& lane : lanes) lane = values[0];
  int64_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  for (; i < count; ++i) lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
  float largest = lanes[0];
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_LANE_SUM_H_
