#include "worker/nn/dropout_mask.h"

#include <array>
#include <bit>
#include <cmath>

#include "common/base/hash.h"

namespace drover {
namespace {

// Sets these random numbers apart from the others that are drawn with the job's seed.
constexpr uint64_t kDropoutKey = 0x64726f706f757400;

constexpr double kWords = 0x1p32;

}  // namespace

DropoutMask::DropoutMask(std::string_view layer, double probability)
    : layer_(Hash64(layer.data(), layer.size()) << 32),
      threshold_(static_cast<uint32_t>(std::floor(probability * kWords))),
      scale_(static_cast<float>(1.0 / (1.0 - threshold_ / kWords))) {}

DropoutDraw DropoutMask::draw(uint64_t seed) const {
  return {.key = seed ^ kDropoutKey, .layer = layer_, .threshold = threshold_, .scale = scale_};
}

void DropoutMask::StrikeOut(const DropoutSample& sample, uint64_t first, int64_t count,
                            float* values) const {
  const DropoutDraw from = draw(sample.seed);
  for (int64_t i = 0; i < count; i += 4) {
    const std::array<uint32_t, 4> words =
        from.Words(sample.position, (first + static_cast<uint64_t>(i)) / 4);
    for (int64_t j = 0; j < 4 && i + j < count; ++j) {
      const uint32_t struck = words[static_cast<size_t>(j)] < threshold_ ? 0x80000000u : 0u;
      values[i + j] = std::bit_cast<float>(std::bit_cast<uint32_t>(values[i + j]) | struck);
    }
  }
}

}  // namespace drover
