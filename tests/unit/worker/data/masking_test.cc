// Expected counts from arXiv:1810.04805, section 3.1; bounds are four standard deviations of the
// binomial distribution.

#include "worker/data/masking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace drover {
namespace {

const SpecialTokens kSpecials;
constexpr int32_t kVocabulary = 1000;

struct Masked {
  std::vector<int32_t> tokens, positions, labels;
  int64_t count;
  bool operator==(const Masked&) const = default;
};

Masked Mask(std::vector<int32_t> tokens, const MaskingKey& key, size_t predictions = 20,
            const SpecialTokens& specials = kSpecials, int32_t vocabulary = kVocabulary) {
  Masked masked{std::move(tokens), std::vector<int32_t>(predictions, 77),
                std::vector<int32_t>(predictions, 77), 0};
  masked.count =
      Masker(specials, vocabulary).Mask(key, masked.tokens, masked.positions, masked.labels);
  return masked;
}

// [CLS] ordinary... [UNK] [SEP] ordinary... [SEP]
std::vector<int32_t> Sample(int32_t ordinary) {
  std::vector<int32_t> tokens = {kSpecials.cls};
  for (int32_t i = 0; i < ordinary; ++i) {
    if (i == ordinary / 2) tokens.insert(tokens.end(), {kSpecials.unk, kSpecials.sep});
    tokens.push_back(5 + i % (kVocabulary - 5));
  }
  tokens.push_back(kSpecials.sep);
  return tokens;
}

TEST(PredictionsMaxTest, Is15PercentRoundedUp) {
  EXPECT_EQ(PredictionsMax(128), 20);  // 19.2, as BERT's recipes have it.
  EXPECT_EQ(PredictionsMax(512), 77);  // 76.8
  EXPECT_EQ(PredictionsMax(100), 15);
  EXPECT_EQ(PredictionsMax(8), 2);
}

TEST(MaskerTest, Masks15PercentButAtLeastOneAndAtMostTheRoom) {
  EXPECT_EQ(Mask(Sample(100), {1, 0}).count, 15);
  EXPECT_EQ(Mask(Sample(43), {1, 0}).count, 6);  // 6.45
  EXPECT_EQ(Mask(Sample(44), {1, 0}).count, 7);  // 6.6
  EXPECT_EQ(Mask(Sample(2), {1, 0}).count, 1);
  EXPECT_EQ(Mask(Sample(1000), {1, 0}).count, 20);
  EXPECT_EQ(Mask({kSpecials.cls, kSpecials.unk, kSpecials.sep}, {1, 0}).count, 0);
}

TEST(MaskerTest, LabelsAreTheTokensThatStoodThere) {
  for (uint64_t position = 0; position < 200; ++position) {
    const std::vector<int32_t> before = Sample(60);
    const Masked masked = Mask(before, {1, position});
    ASSERT_EQ(masked.count, 9);
    std::vector<int32_t> restored = masked.tokens;
    for (size_t i = 0; i < masked.positions.size(); ++i) {
      if (i >= 9) {
        ASSERT_EQ(masked.positions[i], 0);
        ASSERT_EQ(masked.labels[i], -1);
        continue;
      }
      ASSERT_TRUE(i == 0 || masked.positions[i] > masked.positions[i - 1]);
      const auto at = static_cast<size_t>(masked.positions[i]);
      ASSERT_EQ(masked.labels[i], before[at]);
      ASSERT_GE(masked.labels[i], 5);  // Never a special token.
      restored[at] = before[at];
    }
    ASSERT_EQ(restored, before);  // Nothing else has changed.
  }
}

TEST(MaskerTest, EightyTenTen) {
  int masked = 0, same = 0, random = 0;
  std::set<int32_t> random_tokens;
  for (uint64_t position = 0; position < 4000; ++position) {
    const Masked sample = Mask(Sample(100), {5, position});
    for (size_t i = 0; i < 15; ++i) {
      const int32_t now = sample.tokens[static_cast<size_t>(sample.positions[i])];
      if (now == kSpecials.mask) {
        ++masked;
      } else if (now == sample.labels[i]) {
        ++same;
      } else {
        ++random;
        random_tokens.insert(now);
        ASSERT_GE(now, 5);
        ASSERT_LT(now, kVocabulary);
      }
    }
  }
  const double n = 60'000;
  EXPECT_NEAR(masked, 0.8 * n, 4 * std::sqrt(n * 0.8 * 0.2));
  // One random token in 995 is the old one.
  EXPECT_NEAR(random, 0.1 * n * 994 / 995, 4 * std::sqrt(n * 0.1 * 0.9));
  EXPECT_NEAR(same, 0.1 * n * (1 + 1.0 / 995), 4 * std::sqrt(n * 0.1 * 0.9));
  // Of 995 tokens about 995 exp(-6000 / 995) = 2.4 are not met.
  EXPECT_GT(random_tokens.size(), 980u);
}

TEST(MaskerTest, EveryPositionIsAsLikely) {
  std::vector<int> chosen(105);
  constexpr int kSamples = 10'000;
  for (uint64_t position = 0; position < kSamples; ++position) {
    const Masked sample = Mask(Sample(100), {6, position});
    for (size_t i = 0; i < 15; ++i) ++chosen[static_cast<size_t>(sample.positions[i])];
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (i == 0 || i == 51 || i == 52 || i == 103 || i == 104) {
      EXPECT_EQ(chosen[i], 0) << i;  // [CLS], [UNK], [SEP], [SEP] and none.
    } else {
      EXPECT_NEAR(chosen[i], 0.15 * kSamples, 4.5 * std::sqrt(kSamples * 0.15 * 0.85)) << i;
    }
  }
}

TEST(MaskerTest, IsAFunctionOfKeyAndPosition) {
  EXPECT_EQ(Mask(Sample(60), {1, 9}), Mask(Sample(60), {1, 9}));
  EXPECT_NE(Mask(Sample(60), {1, 9}), Mask(Sample(60), {1, 10}));
  EXPECT_NE(Mask(Sample(60), {1, 9}), Mask(Sample(60), {2, 9}));
}

TEST(MaskerTest, SpecialTokensMayStandAnywhereInTheVocabulary) {
  const SpecialTokens specials = {.pad = 0, .unk = 9, .cls = 3, .sep = 7, .mask = 5};
  std::set<int32_t> met;
  for (uint64_t position = 0; position < 2000; ++position) {
    const Masked sample = Mask({3, 1, 2, 7, 4, 6, 8, 7}, {1, position}, 2, specials, 10);
    ASSERT_EQ(sample.count, 1);
    met.insert(sample.tokens[static_cast<size_t>(sample.positions[0])]);
  }
  EXPECT_EQ(met, (std::set<int32_t>{1, 2, 4, 5, 6, 8}));
}

}  // namespace
}  // namespace drover
