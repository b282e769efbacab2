// The attention kernels alone, beside the formulas of attention.h and attention_gpu.h as slow loops
// in double. On the emulator and on a GPU.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_ATTENTION_GPU_CASE_H_
#define DROVER_TESTS_UNIT_WORKER_NN_ATTENTION_GPU_CASE_H_

#include <cstdint>
#include <vector>

#include "worker/nn/gpu_values.h"

namespace drover {

struct AttentionCase {
  int64_t tokens;
  int64_t head_size;
  int64_t heads = 2;
  std::vector<int32_t> lengths = {};  // Of as many samples; empty: one whole sample.
  double dropout = 0.0;
  ValueType type = ValueType::kF32;
  float sharpness = 1.0f;  // What queries are multiplied with.
  bool opposed = false;    // Queries point away from all keys: only scores far below 0.
};

struct AttentionResults {
  std::vector<float> context;    // [B, S, H]
  std::vector<float> gradients;  // [B, S, 3 H]

  friend bool operator==(const AttentionResults&, const AttentionResults&) = default;
};

AttentionResults RunAttentionGpu(const AttentionCase& of);
// From the same rounded inputs.
AttentionResults SlowAttention(const AttentionCase& of);

// |gpu - slow| <= tolerance * max |slow| for c, dq, dk and dv each. With one token dq and dk are 0,
// and what rounding leaves there is compared with 1.
void ExpectAttentionAgrees(const AttentionCase& of, double tolerance);

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_ATTENTION_GPU_CASE_H_
