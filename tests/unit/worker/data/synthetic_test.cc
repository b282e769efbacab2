#include "worker/data/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "worker/data/digit_strokes.h"

namespace drover {
namespace {

constexpr size_t kPixels = size_t{kSyntheticSide} * kSyntheticSide;

std::unique_ptr<ImageDataset> Make(uint64_t seed, Split split, uint64_t size) {
  Result<std::unique_ptr<ImageDataset>> dataset = MakeSyntheticDataset(seed, split, size);
  EXPECT_TRUE(dataset.ok()) << dataset.status().ToString();
  return std::move(dataset).value();
}

std::string Image(const ImageDataset& dataset, size_t index) {
  const auto begin = dataset.pixels().begin() + static_cast<int64_t>(index * kPixels);
  return std::string(begin, begin + kPixels);
}

// The same for g++ 12 and clang 14 from -O0 to -O3 with AVX-512, when contraction to FMA is off.
// Another number here means that every job on these digits sees other data.
TEST(SyntheticTest, DrawsTheSameBytesEverywhere) {
  EXPECT_EQ(Make(1, Split::kTrain, 2000)->fingerprint(), 0x8a741586f306449bu);
  EXPECT_EQ(Make(42, Split::kTest, 2000)->fingerprint(), 0x936a8798a9de3a54u);
}

TEST(SyntheticTest, SampleDoesNotDependOnItsNeighboursOrTheSize) {
  const std::unique_ptr<ImageDataset> large = Make(5, Split::kTrain, 100);
  const std::unique_ptr<ImageDataset> small = Make(5, Split::kTrain, 10);
  std::vector<uint8_t> alone(kPixels);

  const uint8_t label = DrawSyntheticDigit(5, Split::kTrain, 77, alone.data());

  EXPECT_EQ(label, large->labels()[77]);
  EXPECT_EQ(std::string(alone.begin(), alone.end()), Image(*large, 77));
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(Image(*small, i), Image(*large, i));
}

TEST(SyntheticTest, SplitsSeedsAndIndicesShareNoImage) {
  std::set<std::string> images;
  for (const uint64_t seed : {1u, 2u}) {
    for (const Split split : {Split::kTrain, Split::kTest}) {
      const std::unique_ptr<ImageDataset> dataset = Make(seed, split, 500);
      for (size_t i = 0; i < dataset->size(); ++i) images.insert(Image(*dataset, i));
    }
  }

  EXPECT_EQ(images.size(), 2000u);
}

// 10,000 labels: 1,000 of each with a standard deviation of 30.
TEST(SyntheticTest, DigitsAreEquallyFrequent) {
  const std::unique_ptr<ImageDataset> dataset = Make(3, Split::kTest, kSyntheticTestSize);
  std::array<int, 10> count{};
  for (const uint8_t label : dataset->labels()) ++count[label];

  for (const int c : count) EXPECT_NEAR(c, 1000, 150);
}

TEST(SyntheticTest, EveryImageHasInkAndPaper) {
  const std::unique_ptr<ImageDataset> dataset = Make(3, Split::kTrain, 2000);
  for (size_t i = 0; i < dataset->size(); ++i) {
    const std::string image = Image(*dataset, i);
    const auto inked = std::count_if(image.begin(), image.end(),
                                     [](char c) { return static_cast<uint8_t>(c) > 100; });
    EXPECT_GT(inked, 10) << i;
    EXPECT_LT(inked, 300) << i;
  }
}

TEST(SyntheticTest, RefusesSizesOutOfBounds) {
  EXPECT_EQ(MakeSyntheticDataset(1, Split::kTest, 0).status().message(),
            "synthetic digits: 0 samples of split test, expected 1 to 10000000");
  EXPECT_EQ(MakeSyntheticDataset(1, Split::kTrain, kSyntheticSizeMax + 1).status().code(),
            Code::kInvalidArgument);
}

TEST(DigitStrokesTest, EveryDigitHasSeveralWaysInsideItsBox) {
  for (uint8_t digit = 0; digit < 10; ++digit) {
    EXPECT_GE(GlyphsOf(digit).size(), 2u);
    for (const Glyph& glyph : GlyphsOf(digit)) {
      for (const PenStroke& stroke : glyph) {
        EXPECT_GE(stroke.size(), 2u);
        EXPECT_LE(stroke.size(), 12u);
        for (const PenPoint& point : stroke) {
          EXPECT_TRUE(point.x >= 0 && point.x <= 1 && point.y >= 0 && point.y <= 1);
        }
      }
    }
  }
}

}  // namespace
}  // namespace drover
