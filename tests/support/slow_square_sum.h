// The order of common/tensor/square_sum.h written out for tests: all lanes, every addition.

#ifndef DROVER_TESTS_SUPPORT_SLOW_SQUARE_SUM_H_
#define DROVER_TESTS_SUPPORT_SLOW_SQUARE_SUM_H_

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace drover {

// Of one block.
inline double SlowSquareSum(std::span<const float> values) {
  double sum = 0.0;
  for (size_t strip = 0; strip < values.size(); strip += 4096) {
    double strip_sum = 0.0;
    for (size_t segment = strip; segment < strip + 4096; segment += 512) {
      std::vector<double> lanes(128, 0.0);
      for (size_t i = segment; i < std::min(segment + 512, values.size()); ++i) {
        const double value = values[i];
        lanes[i % 128] += value * value;
      }
      for (const size_t half : {64, 32, 16, 8, 4, 2, 1}) {
        for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
      }
      strip_sum += lanes[0];
    }
    sum += strip_sum;
  }
  return sum;
}

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_SLOW_SQUARE_SUM_H_
