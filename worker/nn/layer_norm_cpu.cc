#include <cmath>

#include "worker/nn/lane_sum.h"
#include "worker/nn/layer_norm.h"
#include "worker/nn/simd_cpu.h"

namespace drover {
namespace {

double Mean(const float* x, int64_t size) {
  double lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= size; i += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += x[i + lane];
  }
  for (int64_t lane = 0; i < size; ++i, ++lane) lanes[lane] += x[i];
  return AddLanes(lanes) / static_cast<double>(size);
}

double Variance(const float* x, int64_t size, double mean) {
  double lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= size; i += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) {
      const double off = x[i + lane] - mean;
      lanes[lane] += off * off;
    }
  }
  for (int64_t lane = 0; i < size; ++i, ++lane) lanes[lane] += (x[i] - mean) * (x[i] - mean);
  return AddLanes(lanes) / static_cast<double>(size);
}

}  // namespace

DROVER_SIMD
void LayerNormForwardCpu(const LayerNormShape& shape, double epsilon, const float* x,
                         const float* weight, const float* bias, float* means,
                         float* inverse_deviations, float* y) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* x_row = x + row * shape.size;
    float* y_row = y + row * shape.size;
    const double mean = Mean(x_row, shape.size);
    const double variance = Variance(x_row, shape.size, mean);
    const float shift = means[row] = static_cast<float>(mean);
    const float scale = inverse_deviations[row] =
        static_cast<float>(1.0 / std::sqrt(variance + epsilon));
    for (int64_t j = 0; j < shape.size; ++j) {
      y_row[j] = (x_row[j] - shift) * scale * weight[j] + bias[j];
    }
  }
}

DROVER_SIMD
void LayerNormBackwardWeightsCpu(const LayerNormShape& shape, const float* x, const float* means,
                                 const float* inverse_deviations, const float* dy, float* dweight,
                                 float* dbias) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* x_row = x + row * shape.size;
    const float* dy_row = dy + row * shape.size;
    const float shift = means[row];
    const float scale = inverse_deviations[row];
    for (int64_t j = 0; j < shape.size; ++j) {
      dweight[j] += dy_row[j] * ((x_row[j] - shift) * scale);
      dbias[j] += dy_row[j];
    }
  }
}

DROVER_SIMD
void LayerNormBackwardDataCpu(const LayerNormShape& shape, const float* x, const float* weight,
                              const float* means, const float* inverse_deviations, const float* dy,
                              float* dx) {
  const float inverse_size = static_cast<float>(1.0 / static_cast<double>(shape.size));
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* x_row = x + row * shape.size;
    const float* dy_row = dy + row * shape.size;
    float* a = dx + row * shape.size;  // dy * weight; becomes dx.
    const float shift = means[row];
    const float scale = inverse_deviations[row];
    float az_lanes[kSumLanes] = {};
    int64_t i = 0;
    for (; i + kSumLanes <= shape.size; i += kSumLanes) {
      for (int64_t lane = 0; lane < kSumLanes; ++lane) {
        const float value = dy_row[i + lane] * weight[i + lane];
        az_lanes[lane] += value * ((x_row[i + lane] - shift) * scale);
        a[i + lane] = value;
      }
    }
    for (int64_t lane = 0; i < shape.size; ++i, ++lane) {
      a[i] = dy_row[i] * weight[i];
      az_lanes[lane] += a[i] * ((x_row[i] - shift) * scale);
    }
    const float mean_a = LaneSum(a, shape.size) * inverse_size;
    const float mean_az = AddLanes(az_lanes) * inverse_size;
    for (int64_t j = 0; j < shape.size; ++j) {
      const float z = (x_row[j] - shift) * scale;
      a[j] = (a[j] - mean_a - z * mean_az) * scale;
    }
  }
}

}  // namespace drover
