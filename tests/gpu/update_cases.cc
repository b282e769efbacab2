#include "tests/gpu/update_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "common/base/philox.h"
#include "common/tensor/bf16.h"
#include "common/tensor/fixed_point.h"
#include "common/tensor/layout.h"
#include "server/optim/step_scalars.h"
#include "server/optim/update.h"
#include "server/optim/whole_model.h"

namespace drover {
namespace {

constexpr int kFractionBits = 36;
constexpr int64_t kSamples = 3000;  // No power of two: the mean rounds.

std::vector<float> Weights(size_t size, uint64_t stream) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) {
    const auto words = Philox(/*seed=*/5, stream, i);
    const float value = std::ldexp(UnitFloat(words[0]), static_cast<int>(words[1] % 24) - 20);
    values[i] = words[2] % 2 == 0 ? value : -value;
  }
  return values;
}

// Of mean gradients from 1e-9 to 4. Parts of one random array, as ten arrays for a tensor of 31 Mi
// would take longer than the update.
std::vector<int64_t> Sums(size_t size, uint64_t stream) {
  static const std::vector<int64_t> base = [] {
    std::vector<int64_t> sums(99991);  // Prime.
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto words = Philox(/*seed=*/6, /*stream=*/0, i);
      const auto value = static_cast<int64_t>(uint64_t{words[0]} << (words[1] % 18));
      sums[i] = words[2] % 16 == 0 ? 0 : words[2] % 2 == 0 ? value : -value;
    }
    return sums;
  }();
  std::vector<int64_t> sums(size);
  size_t from = stream * 7919 % base.size();
  for (int64_t& sum : sums) {
    sum = base[from];
    from = from + 1 == base.size() ? 0 : from + 1;
  }
  return sums;
}

std::vector<float> MeanOf(const std::vector<int64_t>& sums, double factor) {
  std::vector<float> mean(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    mean[i] = static_cast<float>(static_cast<double>(sums[i]) * factor);
  }
  return mean;
}

template <typename T>
std::string Difference(const std::string& what, const std::vector<T>& got,
                       const std::vector<T>& want) {
  if (got.size() == want.size() &&
      (want.empty() || std::memcmp(got.data(), want.data(), got.size() * sizeof(T)) == 0)) {
    return "";
  }
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(T)) == 0) continue;
    return what + "[" + std::to_string(i) + "] of " + std::to_string(want.size()) + " is " +
           std::to_string(got[i]) + ", expected " + std::to_string(want[i]);
  }
  return what + " has " + std::to_string(got.size()) + " elements";
}

GroupSettings GroupAt(const OptimizerSettings& settings, size_t tensor) {
  GroupSettings group = MakeGroup(settings, tensor % 3 != 1, tensor % 3 != 1);
  if (tensor % 4 == 2) group.learning_rate_scale = 0.3;
  return group;
}

std::string CompareTensor(const UpdateCase& c, const GpuModel& gpu, const WholeModel& cpu,
                          size_t t) {
  const std::string name = "tensor " + std::to_string(t) + " ";
  const WholeModel::Tensor& want = cpu.tensor(t);
  std::string difference = Difference(name + "weight", gpu.Weight(t), want.weight);
  for (size_t slot = 0; slot < static_cast<size_t>(InfoOf(c.settings.rule).slots); ++slot) {
    if (!difference.empty()) return difference;
    difference =
        Difference(name + "slot " + std::to_string(slot), gpu.Slot(slot, t), want.slots[slot]);
  }
  if (difference.empty() && !want.slow.empty()) {
    difference = Difference(name + "slow", gpu.Slow(t), want.slow);
  }
  if (difference.empty() && c.options.publish) {
    std::vector<uint16_t> published(want.weight.size());
    RoundToBf16(want.weight.data(), want.weight.size(), published.data());
    difference = Difference(name + "published", gpu.Published(t), published);
  }
  return difference;
}

// Of the GPU's measure pass for update `update`, on the state that both hold.
std::string CompareNorms(const UpdateCase& c, const WholeModel& cpu, int64_t update,
                         double learning_rate, const std::vector<std::vector<float>>& gradients,
                         double clip_factor, const std::vector<BlockNorms>& got) {
  const CpuPasses passes = CpuPassesFor(c.settings.rule);
  size_t index = 0;
  for (size_t t = 0; t < c.sizes.size(); ++t) {
    WholeModel::Tensor tensor = cpu.tensor(t);
    const StepScalars s =
        ComputeStepScalars(c.settings, tensor.group, update, learning_rate, clip_factor);
    for (size_t begin = 0; begin < c.sizes[t]; begin += kBlockElements, ++index) {
      BlockView block{};
      block.size = std::min<size_t>(kBlockElements, c.sizes[t] - begin);
      block.weight = tensor.weight.data() + begin;
      block.gradient = gradients[t].data() + begin;
      for (size_t slot = 0; slot < kSlotsMax; ++slot) {
        block.slot[slot] = tensor.slots[slot].data() + begin;
      }
      const BlockNorms want = passes.measure(s, block);
      if (got[index].weight == want.weight && got[index].direction == want.direction) continue;
      return "norms of block " + std::to_string(index) + " are " +
             std::to_string(got[index].weight) + " and " + std::to_string(got[index].direction) +
             ", expected " + std::to_string(want.weight) + " and " + std::to_string(want.direction);
    }
  }
  return "";
}

}  // namespace

OptimizerSettings FullSettings(Rule rule) {
  OptimizerSettings settings = DefaultSettings(rule);
  settings.weight_decay = 0.125;
  settings.nesterov = true;
  settings.dampening = rule == Rule::kMomentum ? 0.25 : 0.0;
  return settings;
}

std::string Compare(const UpdateCase& c) {
  const double factor = FixedPointMeanFactor(kFractionBits, kSamples);
  std::vector<std::vector<float>> initial;
  std::vector<GroupSettings> groups;
  WholeModel cpu(c.settings, BestIsa());
  for (size_t t = 0; t < c.sizes.size(); ++t) {
    initial.push_back(Weights(c.sizes[t], t));
    groups.push_back(GroupAt(c.settings, t));
    cpu.AddTensor(initial.back(), groups.back());
  }
  GpuModel gpu(c.settings, initial, groups, c.options);
  for (int step = 0; step < c.steps; ++step) {
    const double learning_rate = 0.01 * (1 + step % 3);
    std::vector<std::vector<int64_t>> sums;
    std::vector<std::vector<float>> gradients;
    for (size_t t = 0; t < c.sizes.size(); ++t) {
      sums.push_back(Sums(c.sizes[t], static_cast<uint64_t>(step) * 1000 + t));
      gradients.push_back(MeanOf(sums.back(), factor));
    }
    if (step + 1 == c.steps) {
      const std::vector<BlockNorms> norms = gpu.Measure(learning_rate, sums, factor);
      const std::string difference =
          CompareNorms(c, cpu, step + 1, learning_rate, gradients, gpu.clip_factor(), norms);
      if (!difference.empty()) return difference;
    }
    const std::vector<TrustRatio> want = cpu.Update(learning_rate, gradients);
    gpu.Update(learning_rate, sums, factor);
    for (size_t t = 0; t < want.size() && InfoOf(c.settings.rule).trust_ratio; ++t) {
      const TensorRatio& got = gpu.ratios()[t];
      if (got.ratio == want[t].ratio && got.limit == want[t].limit) continue;
      return "step " + std::to_string(step) + ": ratio of tensor " + std::to_string(t) + " is " +
             std::to_string(got.ratio) + ", expected " + std::to_string(want[t].ratio);
    }
  }
  for (size_t t = 0; t < c.sizes.size(); ++t) {
    const std::string difference = CompareTensor(c, gpu, cpu, t);
    if (!difference.empty()) return difference;
  }
  return "";
}

}  // namespace drover
