// Samples by index, all in memory. Order, sharding and batches are the sampler's business.
// Immutable after construction: any thread may read.

#ifndef DROVER_WORKER_DATA_DATASET_H_
#define DROVER_WORKER_DATA_DATASET_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace drover {

enum class Split { kTrain, kTest };

const char* SplitName(Split split);  // "train", "test".

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual uint64_t size() const = 0;       // Samples, at least 1.
  virtual int64_t input_size() const = 0;  // float32 values of one sample.
  virtual int64_t classes() const = 0;     // Labels are in [0, classes).

  // Hash of all samples and labels: two workers of a job must agree on it, or they train on
  // different data. Not against forgery.
  virtual uint64_t fingerprint() const = 0;

  // inputs: [indices.size(), input_size()] float32. labels: [indices.size()]. Each index < size().
  virtual void Read(std::span<const uint64_t> indices, float* inputs, int32_t* labels) const = 0;
};

// What Read makes of a pixel: (pixel / 255 - mean) / std, computed in double and rounded once.
struct PixelScale {
  double mean = 0.0;
  double std = 1.0;  // > 0.
};

// 8-bit images, one byte per pixel; by default Read gives pixel / 255, so inputs are in [0, 1].
class ImageDataset : public Dataset {
 public:
  // pixels: [labels.size(), input_size] row by row. At least one label, each < classes.
  ImageDataset(int64_t input_size, int64_t classes, std::vector<uint8_t> pixels,
               std::vector<uint8_t> labels, PixelScale scale = {});

  uint64_t size() const override { return labels_.size(); }
  int64_t input_size() const override { return input_size_; }
  int64_t classes() const override { return classes_; }
  uint64_t fingerprint() const override { return fingerprint_; }
  void Read(std::span<const uint64_t> indices, float* inputs, int32_t* labels) const override;

  std::span<const uint8_t> pixels() const { return pixels_; }
  std::span<const uint8_t> labels() const { return labels_; }

 private:
  const int64_t input_size_;
  const int64_t classes_;
  const std::vector<uint8_t> pixels_;
  const std::vector<uint8_t> labels_;
  const std::array<float, 256> scale_;  // By pixel; a table is a third faster than the division.
  const uint64_t fingerprint_;
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_DATASET_H_
