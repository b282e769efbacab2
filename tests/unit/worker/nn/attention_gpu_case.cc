#include "tests/unit/worker/nn/attention_gpu_case.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/tensor/bf16.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/attention_gpu.h"

namespace drover {
namespace {

constexpr uint64_t kSeed = 11;
constexpr uint64_t kFirstPosition = 1000;

// What both sides are given.
struct Inputs {
  explicit Inputs(const AttentionCase& of)
      : samples(of.lengths.empty() ? 1 : static_cast<int64_t>(of.lengths.size())),
        lengths(of.lengths),
        positions(static_cast<size_t>(samples)),
        mask("attention", of.dropout) {
    if (lengths.empty()) lengths = {static_cast<int32_t>(of.tokens)};
    std::iota(positions.begin(), positions.end(), kFirstPosition);
    const auto count = static_cast<size_t>(samples * of.tokens * of.heads * of.head_size);
    for (size_t i = 0; i < 4; ++i) {
      values[i] = ProbeNoise(count, 20 + i);
      for (float& value : values[i]) {
        if (of.opposed && i < 2) value = (i == 0 ? -1.0f : 1.0f) * (1.0f + 0.25f * value);
        if (i == 0) value *= of.sharpness;
        if (of.type == ValueType::kBf16) value = FromBf16(ToBf16(value));
      }
    }
  }

  int64_t samples;
  std::vector<int32_t> lengths;
  std::vector<uint64_t> positions;
  DropoutMask mask;
  std::vector<float> values[4];  // q, k, v, dc: [B, S, H]
};

void SlowHead(const AttentionCase& of, const Inputs& inputs, int64_t sample, int64_t head,
              AttentionResults* results) {
  const int64_t n = inputs.lengths[static_cast<size_t>(sample)];
  const int64_t size = of.heads * of.head_size;
  const auto at = [&](int64_t row, int64_t d) {
    return static_cast<size_t>((sample * of.tokens + row) * size + head * of.head_size + d);
  };
  const auto dot = [&](const std::vector<float>& a, int64_t row, const std::vector<float>& b,
                       int64_t column) {
    double sum = 0;
    for (int64_t d = 0; d < of.head_size; ++d) sum += double{a[at(row, d)]} * b[at(column, d)];
    return sum;
  };
  const auto& [q, k, v, dc] = inputs.values;
  std::vector<float> stays(static_cast<size_t>(n * n), 1.0f);
  if (of.dropout > 0) {
    const int64_t first = head * ((of.tokens * of.tokens + 3) / 4 * 4);
    inputs.mask.StrikeOut({kSeed, inputs.positions[static_cast<size_t>(sample)]},
                          static_cast<uint64_t>(first), n * n, stays.data());
    for (float& stay : stays) stay = std::signbit(stay) ? 0.0f : inputs.mask.scale();
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(of.head_size));
  std::vector<double> dq(inputs.values[0].size()), dk(dq), dv(dq);
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> p(static_cast<size_t>(n)), g(p);
    double sum = 0;
    double largest = -INFINITY;
    for (int64_t j = 0; j < n; ++j) largest = std::max(largest, scale * dot(q, i, k, j));
    for (int64_t j = 0; j < n; ++j) {
      p[static_cast<size_t>(j)] = std::exp(scale * dot(q, i, k, j) - largest);
      sum += p[static_cast<size_t>(j)];
    }
    double dots = 0;
    for (int64_t j = 0; j < n; ++j) {
      const auto column = static_cast<size_t>(j);
      p[column] /= sum;
      g[column] = dot(dc, i, v, j) * stays[static_cast<size_t>(i * n + j)];
      dots += p[column] * g[column];
    }
    for (int64_t d = 0; d < of.head_size; ++d) {
      double c = 0;
      for (int64_t j = 0; j < n; ++j) {
        const auto column = static_cast<size_t>(j);
        const double kept = p[column] * stays[static_cast<size_t>(i * n + j)];
        const double ds = p[column] * (g[column] - dots) * scale;
        c += kept * v[at(j, d)];
        dv[at(j, d)] += kept * dc[at(i, d)];
        dk[at(j, d)] += ds * q[at(i, d)];
        dq[at(i, d)] += ds * k[at(j, d)];
      }
      results->context[at(i, d)] = static_cast<float>(c);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t d = 0; d < of.head_size; ++d) {
      const size_t row = static_cast<size_t>((sample * of.tokens + i) * 3 * size);
      const size_t column = static_cast<size_t>(head * of.head_size + d);
      const auto width = static_cast<size_t>(size);
      results->gradients[row + column] = static_cast<float>(dq[at(i, d)]);
      results->gradients[row + width + column] = static_cast<float>(dk[at(i, d)]);
      results->gradients[row + 2 * width + column] = static_cast<float>(dv[at(i, d)]);
    }
  }
}

}  // namespace

AttentionResults SlowAttention(const AttentionCase& of) {
  const Inputs inputs(of);
  const size_t count = inputs.values[0].size();
  AttentionResults results = {std::vector<float>(count), std::vector<float>(3 * count)};
  for (int64_t sample = 0; sample < inputs.samples; ++sample) {
    for (int64_t head = 0; head < of.heads; ++head) SlowHead(of, inputs, sample, head, &results);
  }
  return results;
}

AttentionResults RunAttentionGpu(const AttentionCase& of) {
  const Inputs inputs(of);
  GpuArrays arrays;
  const AttentionCall call = {
      .samples = inputs.samples,
      .tokens = of.tokens,
      .heads = of.heads,
      .head_size = of.head_size,
      .lengths =
          of.lengths.empty() ? nullptr : arrays.Copy(inputs.lengths.data(), inputs.lengths.size()),
      .positions = arrays.Copy(inputs.positions.data(), inputs.positions.size()),
      .dropping = of.dropout > 0,
      .dropout = inputs.mask.draw(kSeed)};
  const size_t count = inputs.values[0].size();
  const size_t rows = static_cast<size_t>(inputs.samples * of.heads * of.tokens);
  AttentionState state;
  state.query = arrays.Values(inputs.values[0], of.type);
  state.key = arrays.Values(inputs.values[1], of.type);
  state.value = arrays.Values(inputs.values[2], of.type);
  state.context_gradient = arrays.Values(inputs.values[3], of.type);
  const GpuValues context = {arrays.Bytes(count * BytesOf(of.type)), of.type};
  state.context = context;
  float* const log_sums = reinterpret_cast<float*>(arrays.Bytes(rows * sizeof(float)));
  state.log_sums = log_sums;
  float* const dots = reinterpret_cast<float*>(arrays.Bytes(rows * sizeof(float)));
  const GpuValues gradients = {arrays.Bytes(3 * count * BytesOf(of.type)), of.type};
  const Status forward = AttentionForwardGpu(call, state.query, state.key, state.value, context,
                                             log_sums, arrays.stream());
  EXPECT_TRUE(forward.ok()) << forward.ToString();
  const Status backward = AttentionBackwardGpu(call, state, dots, gradients, arrays.stream());
  EXPECT_TRUE(backward.ok()) << backward.ToString();
  return {arrays.Read(context, count), arrays.Read(gradients, 3 * count)};
}

void ExpectAttentionAgrees(const AttentionCase& of, double tolerance) {
  const AttentionResults gpu = RunAttentionGpu(of);
  const AttentionResults slow = SlowAttention(of);
  const size_t size = static_cast<size_t>(of.heads * of.head_size);
  // Rows of `stride` values, of which those from `first` on belong together.
  const auto compare = [&](const char* what, const std::vector<float>& got,
                           const std::vector<float>& expected, size_t stride, size_t first) {
    ASSERT_EQ(got.size(), expected.size());
    double largest = of.tokens == 1 ? 1.0 : 0.0;
    const auto for_each = [&](const auto& body) {
      for (size_t row = 0; row < got.size(); row += stride) {
        for (size_t i = row + first; i < row + first + size; ++i) body(i);
      }
    };
    for_each([&](size_t i) { largest = std::max(largest, std::fabs(double{expected[i]})); });
    for_each([&](size_t i) {
      // Not >: NaN must fail.
      ASSERT_TRUE(std::fabs(double{got[i]} - double{expected[i]}) <= tolerance * largest)
          << what << "[" << i << "]: " << got[i] << " on the GPU, " << expected[i] << " in double, "
          << largest << " the largest";
    });
  };
  compare("context", gpu.context, slow.context, size, 0);
  compare("dq", gpu.gradients, slow.gradients, 3 * size, 0);
  compare("dk", gpu.gradients, slow.gradients, 3 * size, size);
  compare("dv", gpu.gradients, slow.gradients, 3 * size, 2 * size);
}

}  // namespace drover
