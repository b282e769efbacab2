#include "worker/data/sentence_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "common/base/philox.h"
#include "tests/unit/worker/data/sample_text.h"

namespace drover {
namespace {

using testing::HasSubstr;

// Documents given as the sizes of their sentences; tokens count up from 5.
TokenText TextOf(const std::vector<std::vector<int>>& documents) {
  TokenTextInfo info;
  info.vocabulary_size = 1000;
  info.vocabulary_hash = "0123456789abcdef0123456789abcdef";
  TokenText text(info);
  int32_t next = 5;
  for (const std::vector<int>& sentences : documents) {
    for (const int size : sentences) {
      std::vector<int32_t> tokens(static_cast<size_t>(size));
      for (int32_t& token : tokens) token = next++;
      text.AddSentence(tokens);
    }
    text.EndDocument();
  }
  return text;
}

constexpr uint32_t kFollows = 0;  // Words that decide about random_next.
constexpr uint32_t kRandom = UINT32_MAX;

struct Span {
  uint64_t begin, size;
  bool operator==(const Span&) const = default;
};

// The passages: A and B together, where B follows A.
std::vector<Span> Passages(const SentencePairs& pairs) {
  std::vector<Span> passages;
  for (uint64_t i = 0; i < pairs.size(); ++i) {
    const SentencePair pair = pairs.Pick(i, {0, kFollows, 0, 0});
    EXPECT_EQ(pair.b_begin, pair.a_begin + pair.a_size);
    passages.push_back({pair.a_begin, uint64_t{pair.a_size} + pair.b_size});
  }
  return passages;
}

// 13 tokens of a sequence of 16 are for A and B. By hand.
TEST(SentencePairsTest, PacksWholeSentencesOfOneDocument) {
  const TokenText text = TextOf({{5, 4, 4, 5, 9}, {3, 10}, {1}, {2, 12}});

  const Result<SentencePairs> pairs = SentencePairs::Make(&text, 16);

  ASSERT_TRUE(pairs.ok()) << pairs.status().ToString();
  // 5+4+4 = 13; 5 (9 more would be 14); 9; 3+10; the single token is no sample; 2; 12.
  EXPECT_EQ(Passages(pairs.value()),
            (std::vector<Span>{{0, 13}, {13, 5}, {18, 9}, {27, 13}, {41, 2}, {43, 12}}));
}

TEST(SentencePairsTest, CutsSentencesThatAreTooLong) {
  const TokenText text = TextOf({{30, 3}, {4, 14, 2}});
  const Result<SentencePairs> pairs = SentencePairs::Make(&text, 16);
  ASSERT_TRUE(pairs.ok());
  // 30 = 13 + 13 + 4, and 3 more fit; 4; 14 = 13 + 1, and 2 more fit.
  EXPECT_EQ(Passages(pairs.value()),
            (std::vector<Span>{{0, 13}, {13, 13}, {26, 7}, {33, 4}, {37, 13}, {50, 3}}));
}

TEST(SentencePairsTest, SplitsAtSentencesEachAsLikely) {
  const TokenText text = TextOf({{2, 3, 4, 1}, {5}});
  const SentencePairs pairs = SentencePairs::Make(&text, 16).value();
  EXPECT_EQ(pairs.Pick(0, {0, kFollows, 0, 0}).a_size, 2u);
  EXPECT_EQ(pairs.Pick(0, {0x55555556, kFollows, 0, 0}).a_size, 5u);
  EXPECT_EQ(pairs.Pick(0, {0xAAAAAAAB, kFollows, 0, 0}).a_size, 9u);
  EXPECT_EQ(pairs.Pick(0, {UINT32_MAX, kFollows, 0, 0}).a_size, 9u);
  // A single sentence is cut in its middle.
  EXPECT_EQ(pairs.Pick(1, {UINT32_MAX, kFollows, 0, 0}).a_size, 2u);
}

TEST(SentencePairsTest, RandomSegmentsComeFromEverySentenceOfOtherDocuments) {
  const TokenText text = TextOf({{2, 2}, {3, 3}, {1, 20}});
  const SentencePairs pairs = SentencePairs::Make(&text, 16).value();
  // Sample 1 is of the second document; the others' sentences begin at 0, 2, 10, 11.
  std::map<uint64_t, uint32_t> found;
  for (uint32_t i = 0; i < 4; ++i) {
    const SentencePair pair = pairs.Pick(1, {0, kRandom, 0, i});
    EXPECT_TRUE(pair.random_next);
    EXPECT_EQ(pair.a_begin, 4u);
    EXPECT_EQ(pair.a_size, 3u);
    found[pair.b_begin] = pair.b_size;
  }
  // To the end of the document or of the sample, 13 - 3.
  EXPECT_EQ(found, (std::map<uint64_t, uint32_t>{{0, 4}, {2, 2}, {10, 10}, {11, 10}}));
}

TEST(SentencePairsTest, EveryPairOfALongTextIsWithinBounds) {
  const TokenText text = SampleText(300);
  const uint64_t tokens = text.tokens();
  for (const int32_t length : {8, 16, 64, 512, 4096}) {
    const SentencePairs pairs = SentencePairs::Make(&text, length).value();
    uint64_t end = 0;
    for (uint64_t i = 0; i < pairs.size(); ++i) {
      for (uint64_t draw = 0; draw < 4; ++draw) {
        const SentencePair pair = pairs.Pick(i, Philox(7, draw, i));
        ASSERT_GE(pair.a_size, 1u);
        ASSERT_GE(pair.b_size, 1u);
        ASSERT_LE(pair.a_size + pair.b_size, static_cast<uint32_t>(length) - 3);
        ASSERT_LE(pair.a_begin + pair.a_size, tokens);
        ASSERT_LE(pair.b_begin + pair.b_size, tokens);
        if (draw == 0) {
          ASSERT_GE(pair.a_begin, end);  // Passages do not overlap.
          end = pair.a_begin + pair.a_size;
        }
      }
    }
  }
}

TEST(SentencePairsTest, HalfOfThePairsFollow) {
  const TokenText text = SampleText(50);
  const SentencePairs pairs = SentencePairs::Make(&text, 64).value();
  constexpr int kDraws = 20'000;
  int random = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    random += pairs.Pick(i % pairs.size(), Philox(3, 0, i)).random_next;
  }
  EXPECT_NEAR(random, kDraws / 2, 4 * std::sqrt(kDraws * 0.25));  // Four standard deviations.
}

TEST(SentencePairsTest, RefusesTextsWithoutPairs) {
  const TokenText one = TextOf({{5, 5}});
  const Status status = SentencePairs::Make(&one, 16).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("1 document, expected at least 2"));
  const TokenText words = TextOf({{1}, {1}});
  EXPECT_THAT(SentencePairs::Make(&words, 16).status().message(), HasSubstr("two tokens"));
}

}  // namespace
}  // namespace drover
