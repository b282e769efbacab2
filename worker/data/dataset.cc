#include "worker/data/dataset.h"

#include <array>
#include <utility>

#include "common/base/check.h"
#include "common/base/hash.h"

namespace drover {
namespace {

std::array<float, 256> TableOf(PixelScale scale) {
  DROVER_CHECK(scale.std > 0.0);
  std::array<float, 256> table;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<float>((static_cast<double>(i) / 255.0 - scale.mean) / scale.std);
  }
  return table;
}

uint64_t FingerprintOf(std::span<const uint8_t> pixels, std::span<const uint8_t> labels) {
  const std::array<uint64_t, 3> parts = {labels.size(), Hash64(pixels.data(), pixels.size()),
                                         Hash64(labels.data(), labels.size())};
  return Hash64(parts.data(), sizeof(parts));
}

}  // namespace

const char* SplitName(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kTest:
      return "test";
  }
  return "unknown";
}

ImageDataset::ImageDataset(int64_t input_size, int64_t classes, std::vector<uint8_t> pixels,
                           std::vector<uint8_t> labels, PixelScale scale)
    : input_size_(input_size),
      classes_(classes),
      pixels_(std::move(pixels)),
      labels_(std::move(labels)),
      scale_(TableOf(scale)),
      fingerprint_(FingerprintOf(pixels_, labels_)) {
  DROVER_CHECK(input_size_ > 0 && !labels_.empty());
  DROVER_CHECK(pixels_.size() == labels_.size() * static_cast<uint64_t>(input_size_));
  for (const uint8_t label : labels_) DROVER_CHECK(label < classes_);
}

void ImageDataset::Read(std::span<const uint64_t> indices, float* inputs, int32_t* labels) const {
  const size_t input_size = static_cast<size_t>(input_size_);
  for (size_t i = 0; i < indices.size(); ++i) {
    DROVER_CHECK(indices[i] < size());
    const uint8_t* image = pixels_.data() + indices[i] * input_size;
    float* row = inputs + i * input_size;
    for (size_t j = 0; j < input_size; ++j) row[j] = scale_[image[j]];
    labels[i] = labels_[indices[i]];
  }
}

}  // namespace drover
