#include "worker/data/dataset.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace drover {
namespace {

TEST(ImageDatasetTest, ReadsPixelsOver255AndLabelsInTheOrderAsked) {
  const ImageDataset dataset(1, 2, 10, {0, 255, 51, 102, 1, 254}, {3, 0, 9});
  SampleBuffers samples;

  dataset.Read(std::vector<SampleRef>{{2, 0}, {0, 1}, {2, 2}}, &samples);

  const float low = 1.0f / 255.0f;
  const float high = 254.0f / 255.0f;
  EXPECT_EQ(samples.inputs, std::vector<float>({low, high, 0.0f, 1.0f, low, high}));
  EXPECT_EQ(samples.labels, std::vector<int32_t>({9, 3, 9}));
  EXPECT_EQ(dataset.size(), 3u);
  EXPECT_EQ(dataset.shape(), (SampleShape{.extents = {1, 2, 1}, .classes = 10}));
  EXPECT_EQ(dataset.shape().elements(), 2);
}

// (51 / 255 - 0.1307) / 0.3081 and (0 - 0.1307) / 0.3081 in numpy float64, rounded to float32.
TEST(ImageDatasetTest, StandardisesPixelsWhenAsked) {
  const ImageDataset dataset(1, 2, 10, {51, 0}, {3}, {.mean = 0.1307, .std = 0.3081});
  SampleBuffers samples;

  dataset.Read(std::vector<SampleRef>{{0, 0}}, &samples);

  EXPECT_EQ(samples.inputs, (std::vector<float>{0.22492697834968567f, -0.4242129325866699f}));
}

TEST(ImageDatasetTest, FingerprintSeesPixelsLabelsAndTheirOrder) {
  const uint64_t fingerprint = ImageDataset(1, 1, 10, {1, 2}, {3, 4}).fingerprint();

  EXPECT_EQ(ImageDataset(1, 1, 10, {1, 2}, {3, 4}).fingerprint(), fingerprint);
  EXPECT_NE(ImageDataset(1, 1, 10, {1, 3}, {3, 4}).fingerprint(), fingerprint);
  EXPECT_NE(ImageDataset(1, 1, 10, {1, 2}, {4, 3}).fingerprint(), fingerprint);
  EXPECT_NE(ImageDataset(1, 1, 10, {2, 1}, {4, 3}).fingerprint(), fingerprint);
}

TEST(ImageDatasetDeathTest, LabelOutsideTheClassesIsABrokenPromise) {
  EXPECT_DEATH(ImageDataset(1, 1, 10, {1}, {10}), "label < classes");
}

}  // namespace
}  // namespace drover
