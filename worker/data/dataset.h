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

// One sample to read.
struct SampleRef {
  uint64_t index;     // In the dataset, < size().
  uint64_t position;  // In the endless row of training samples; random masking draws from it. For
                      // an evaluation the index again, so that it is the same every time.
};

// What one sample consists of.
struct SampleShape {
  std::vector<int64_t> extents;  // Of the values, {height, width, channels}; or {tokens}.
  int64_t classes = 0;           // Labels are in [0, classes).
  int64_t vocabulary = 0;        // > 0: text. Tokens are in [0, vocabulary).
  int64_t predictions = 0;       // Masked positions, at most, of a text.

  int64_t elements() const;  // Product of the extents.

  friend bool operator==(const SampleShape&, const SampleShape&) = default;
};

// What Read fills, as far as the dataset has it: the arrays of worker/nn/batch.h, for N samples.
struct SampleBuffers {
  std::vector<float> inputs;    // [N, elements()] values.
  std::vector<int32_t> labels;  // [N]
  // Text, S tokens and M predictions per sample.
  std::vector<int32_t> tokens;            // [N, S]
  std::vector<int32_t> segments;          // [N, S], 0 or 1.
  std::vector<int32_t> lengths;           // [N], 1 to S.
  std::vector<int32_t> masked_positions;  // [N, M]
  std::vector<int32_t> masked_labels;     // [N, M], -1 behind the last one.
};

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual uint64_t size() const = 0;  // Samples, at least 1.
  virtual const SampleShape& shape() const = 0;

  // Hash of all samples and labels: two workers of a job must agree on it, or they train on
  // different data. Not against forgery.
  virtual uint64_t fingerprint() const = 0;

  // Resizes what it has to samples.size() and fills it. A pure function of the samples asked for.
  virtual void Read(std::span<const SampleRef> samples, SampleBuffers* out) const = 0;
};

// What Read makes of a pixel: (pixel / 255 - mean) / std, computed in double and rounded once.
struct PixelScale {
  double mean = 0.0;
  double std = 1.0;  // > 0.
};

// 8-bit images, one byte per pixel; by default Read gives pixel / 255, so inputs are in [0, 1].
class ImageDataset : public Dataset {
 public:
  // pixels: [labels.size(), height, width]. At least one label, each < classes.
  ImageDataset(int64_t height, int64_t width, int64_t classes, std::vector<uint8_t> pixels,
               std::vector<uint8_t> labels, PixelScale scale = {});

  uint64_t size() const override { return labels_.size(); }
  const SampleShape& shape() const override { return shape_; }
  uint64_t fingerprint() const override { return fingerprint_; }
  void Read(std::span<const SampleRef> samples, SampleBuffers* out) const override;

  std::span<const uint8_t> pixels() const { return pixels_; }
  std::span<const uint8_t> labels() const { return labels_; }

 private:
  const SampleShape shape_;
  const std::vector<uint8_t> pixels_;
  const std::vector<uint8_t> labels_;
  const std::array<float, 256> scale_;  // By pixel; a table is a third faster than the division.
  const uint64_t fingerprint_;
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_DATASET_H_
