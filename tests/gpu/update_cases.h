// Random models, updated by the CPU passes and by a GPU, and compared bit by bit. Shared by the
// tests that run on the emulator and on a GPU.

#ifndef DROVER_TESTS_GPU_UPDATE_CASES_H_
#define DROVER_TESTS_GPU_UPDATE_CASES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "server/optim/settings.h"
#include "tests/gpu/gpu_model.h"

namespace drover {

// Threads of a kernel on the emulator cost ten times as much under a sanitizer, and what that looks
// for shows in fewer rounds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

struct UpdateCase {
  OptimizerSettings settings;
  GpuModel::Options options;
  std::vector<size_t> sizes;  // Of the tensors; every third one is neither decayed nor adapted.
  int steps = kSanitized ? 2 : 10;
};

// Empty when all weights, slots, slow weights, ratios and the published copy have the bits of
// WholeModel, and the norms before the last step those of CpuPasses; else what differs first.
std::string Compare(const UpdateCase& update_case);

// Every term of the rule at once: decay, clipping where the case can clip, Nesterov.
OptimizerSettings FullSettings(Rule rule);

}  // namespace drover

#endif  // DROVER_TESTS_GPU_UPDATE_CASES_H_
