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

int64_t SampleShape::elements() const {
  int64_t elements = 1;
  for (const int64_t extent : extents) elements *= extent;
  return elements;
}

ImageDataset::ImageDataset(int64_t height, int64_t width, int64_t classes,
                           std::vector<uint8_t> pixels, std::vector<uint8_t> labels,
                           PixelScale scale)
    : shape_({.extents = {height, width, 1}, .classes = classes}),
      pixels_(std::move(pixels)),
      labels_(std::move(labels)),
      scale_(TableOf(scale)),
      fingerprint_(FingerprintOf(pixels_, labels_)) {
  DROVER_CHECK(shape_.elements() > 0 && !labels_.empty());
  DROVER_CHECK(pixels_.size() == labels_.size() * static_cast<uint64_t>(shape_.elements()));
  for (const uint8_t label : labels_) DROVER_CHECK(label < classes);
}

void ImageDataset::Read(std::span<const SampleRef> samples, SampleBuffers* out) const {
  const size_t pixels = static_cast<size_t>(shape_.elements());
  out->inputs.resize(samples.size() * pixels);
  out->labels.resize(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const uint64_t index = samples[i].index;
    DROVER_CHECK(index < size());
    const uint8_t* image = pixels_.data() + index * pixels;
    float* row = out->inputs.data() + i * pixels;
    for (size_t j = 0; j < pixels; ++j) row[j] = scale_[image[j]];
    out->labels[i] = labels_[index];
  }
}

}  // namespace drover
