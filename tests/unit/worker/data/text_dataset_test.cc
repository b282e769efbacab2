#include "worker/data/text_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/text/token_file.h"
#include "tests/unit/worker/data/sample_text.h"

namespace drover {
namespace {

using testing::HasSubstr;

std::unique_ptr<TextDataset> Make(Split split = Split::kTrain, uint64_t seed = 1,
                                  int32_t sequence_length = 64) {
  return TextDataset::Make(SampleText(100), sequence_length, split, seed).value();
}

SampleBuffers Read(const Dataset& dataset, const std::vector<SampleRef>& samples) {
  SampleBuffers buffers;
  dataset.Read(samples, &buffers);
  return buffers;
}

bool Same(const SampleBuffers& a, const SampleBuffers& b) {
  return a.inputs == b.inputs && a.labels == b.labels && a.tokens == b.tokens &&
         a.segments == b.segments && a.lengths == b.lengths &&
         a.masked_positions == b.masked_positions && a.masked_labels == b.masked_labels;
}

TEST(TextDatasetTest, SamplesAreFramedAndPadded) {
  const auto dataset = Make();
  const SpecialTokens specials;
  constexpr size_t kLength = 64, kPredictions = 10;  // 9.6 rounded up.
  EXPECT_EQ(dataset->shape().extents, std::vector<int64_t>{64});
  EXPECT_EQ(dataset->shape().classes, 2);
  EXPECT_EQ(dataset->shape().vocabulary, 1000);
  EXPECT_EQ(dataset->shape().predictions, 10);
  std::vector<SampleRef> refs;
  for (uint64_t i = 0; i < dataset->size(); ++i) refs.push_back({i, 1000 + i});

  const SampleBuffers samples = Read(*dataset, refs);

  ASSERT_EQ(samples.tokens.size(), refs.size() * kLength);
  ASSERT_EQ(samples.masked_labels.size(), refs.size() * kPredictions);
  EXPECT_TRUE(samples.inputs.empty());
  for (size_t row = 0; row < refs.size(); ++row) {
    std::vector<int32_t> tokens(
        samples.tokens.begin() + static_cast<ptrdiff_t>(row * kLength),
        samples.tokens.begin() + static_cast<ptrdiff_t>((row + 1) * kLength));
    const int32_t* const segments = &samples.segments[row * kLength];
    const auto length = static_cast<size_t>(samples.lengths[row]);
    ASSERT_GE(length, 5u);
    ASSERT_LE(length, kLength);
    ASSERT_EQ(tokens[0], specials.cls);
    ASSERT_EQ(tokens[length - 1], specials.sep);
    ASSERT_EQ(std::count(tokens.begin(), tokens.end(), specials.sep), 2);
    ASSERT_EQ(std::count(tokens.begin(), tokens.end(), specials.cls), 1);
    const auto first_sep =
        static_cast<size_t>(std::find(tokens.begin(), tokens.end(), specials.sep) - tokens.begin());
    for (size_t i = 0; i < kLength; ++i) {
      ASSERT_EQ(segments[i], i > first_sep && i < length ? 1 : 0);
      ASSERT_EQ(tokens[i] == specials.pad, i >= length);
      ASSERT_GE(tokens[i], 0);
      ASSERT_LT(tokens[i], 1000);
    }
    for (size_t i = 0; i < kPredictions; ++i) {
      const int32_t position = samples.masked_positions[row * kPredictions + i];
      const int32_t label = samples.masked_labels[row * kPredictions + i];
      ASSERT_GE(position, 0);
      ASSERT_LT(position, samples.lengths[row]);
      ASSERT_TRUE(label == -1 || label >= 5);
      ASSERT_LT(label, 1000);
    }
    ASSERT_TRUE(samples.labels[row] == 0 || samples.labels[row] == 1);
  }
}

// With the masks taken back, A and B are the tokens of the text.
TEST(TextDatasetTest, HoldsTheTextWherePairsFollow) {
  const auto dataset = Make();
  std::vector<int32_t> text(dataset->text().tokens());
  dataset->text().CopyTokens(0, text.size(), text.data());
  size_t following = 0;
  for (uint64_t i = 0; i < dataset->size(); ++i) {
    const SampleBuffers sample = Read(*dataset, {{i, i}});
    std::vector<int32_t> tokens = sample.tokens;
    for (size_t p = 0; p < sample.masked_labels.size(); ++p) {
      if (sample.masked_labels[p] >= 0) {
        tokens[static_cast<size_t>(sample.masked_positions[p])] = sample.masked_labels[p];
      }
    }
    const auto sep = std::find(tokens.begin(), tokens.end(), 3);
    std::vector<int32_t> both(tokens.begin() + 1, sep);
    if (sample.labels[0] == 0) {
      both.insert(both.end(), sep + 1, tokens.begin() + sample.lengths[0] - 1);
      ++following;
    }
    ASSERT_NE(std::search(text.begin(), text.end(), both.begin(), both.end()), text.end()) << i;
  }
  EXPECT_GT(following, dataset->size() / 4);
}

TEST(TextDatasetTest, TheSameReferenceGivesTheSameSampleWhateverIsReadBesideIt) {
  const auto dataset = Make();
  SampleBuffers buffers;
  dataset->Read(std::vector<SampleRef>{{5, 40}, {3, 41}, {5, 40}}, &buffers);
  dataset->Read(std::vector<SampleRef>{{3, 41}}, &buffers);  // Buffers are used again.

  EXPECT_TRUE(Same(buffers, Read(*Make(), {{3, 41}})));
  const SampleBuffers three = Read(*dataset, {{5, 40}, {3, 41}, {5, 40}});
  EXPECT_TRUE(std::equal(buffers.tokens.begin(), buffers.tokens.end(), three.tokens.begin() + 64));
  EXPECT_TRUE(std::equal(three.tokens.begin(), three.tokens.begin() + 64, three.tokens.end() - 64));
}

TEST(TextDatasetTest, EachDataPassAndSeedMasksDifferently) {
  const auto dataset = Make();
  const SampleBuffers first = Read(*dataset, {{5, 5}});
  EXPECT_FALSE(Same(first, Read(*dataset, {{5, 5 + dataset->size()}})));
  EXPECT_FALSE(Same(first, Read(*Make(Split::kTrain, 2), {{5, 5}})));
}

TEST(TextDatasetTest, EvaluationsAreTheSameEveryTime) {
  const auto dataset = Make(Split::kTest, 1);
  const SampleBuffers first = Read(*dataset, {{5, 5}});
  EXPECT_TRUE(Same(first, Read(*dataset, {{5, 123'456}})));
  EXPECT_TRUE(Same(first, Read(*Make(Split::kTest, 2), {{5, 5}})));
}

// Bits of a job: they must never change. From tests/golden/text_sample.py.
TEST(TextDatasetTest, GivesTheSampleThatAnotherProgramBuilds) {
  TokenTextInfo info;
  info.vocabulary_size = 50;
  info.vocabulary_hash = "0123456789abcdef0123456789abcdef";
  TokenText text(info);
  int32_t next = 5;
  for (const std::vector<int>& document : {std::vector<int>{5, 3, 7}, {4, 6}, {11}}) {
    for (const int size : document) {
      std::vector<int32_t> tokens(static_cast<size_t>(size));
      for (int32_t& token : tokens) token = next++;
      text.AddSentence(tokens);
    }
    text.EndDocument();
  }
  struct Expected {
    struct {
      uint64_t index, seed, position;
    } reference;
    std::vector<int32_t> tokens;
    int32_t label;
    std::vector<int32_t> positions, labels;
  };
  const std::vector<Expected> all = {
      {{0, 1, 7},
       {2, 5, 6, 7, 8, 9, 3, 10, 4, 12, 13, 14, 15, 16, 17, 18, 9, 3},
       0,
       {8, 16},
       {11, 19}},
      {{1, 1, 8},
       {2, 20, 21, 22, 23, 3, 5, 6, 7, 8, 4, 10, 11, 12, 13, 4, 15, 16, 17, 18, 4, 3},
       1,
       {10, 15, 20},
       {9, 14, 19}},
      {{2, 1, 9}, {2, 30, 4, 32, 4, 34, 3, 35, 36, 37, 38, 39, 40, 3}, 0, {2, 4}, {31, 33}},
      {{0, 99, 1099511627781},
       {2, 5, 6, 7, 4, 9, 3, 10, 11, 12, 13, 14, 15, 4, 17, 18, 19, 3},
       0,
       {4, 13},
       {8, 16}},
  };
  for (const Expected& expected : all) {
    const auto& [index, seed, position] = expected.reference;
    const SampleBuffers sample =
        Read(*TextDataset::Make(text, 32, Split::kTrain, seed).value(), {{index, position}});
    const auto padded = [](std::vector<int32_t> values, size_t size, int32_t pad) {
      values.resize(size, pad);
      return values;
    };
    EXPECT_EQ(sample.tokens, padded(expected.tokens, 32, 0));
    EXPECT_EQ(sample.lengths[0], static_cast<int32_t>(expected.tokens.size()));
    EXPECT_EQ(sample.labels[0], expected.label);
    EXPECT_EQ(sample.masked_positions, padded(expected.positions, 5, 0));
    EXPECT_EQ(sample.masked_labels, padded(expected.labels, 5, -1));
  }
}

TEST(TextDatasetTest, FingerprintSeesTextAndLength) {
  const uint64_t fingerprint = Make()->fingerprint();
  EXPECT_EQ(Make(Split::kTrain, 2)->fingerprint(), fingerprint);
  EXPECT_NE(Make(Split::kTrain, 1, 32)->fingerprint(), fingerprint);
  EXPECT_NE(TextDataset::Make(SampleText(101), 64, Split::kTrain, 1).value()->fingerprint(),
            fingerprint);
  EXPECT_NE(TextDataset::Make(SampleText(100, 1001), 64, Split::kTrain, 1).value()->fingerprint(),
            fingerprint);
}

class OpenTextDatasetTest : public testing::Test {
 protected:
  OpenTextDatasetTest() {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~OpenTextDatasetTest() override { std::filesystem::remove_all(directory_); }

  Result<std::unique_ptr<TextDataset>> Open(Split split) {
    return OpenTextDataset(FileSystem::Real(), directory_, 64, split, 1);
  }

  const std::string directory_ = testing::TempDir() + "drover_text_dataset";
};

TEST_F(OpenTextDatasetTest, OpensBothSplits) {
  FileSystem& fs = FileSystem::Real();
  ASSERT_TRUE(WriteTokenFile(fs, directory_ + "/train.tokens", SampleText(100)).ok());
  ASSERT_TRUE(WriteTokenFile(fs, directory_ + "/test.tokens", SampleText(7)).ok());
  EXPECT_EQ(Open(Split::kTrain).value()->text().documents(), 100u);
  EXPECT_EQ(Open(Split::kTest).value()->text().documents(), 7u);
  EXPECT_EQ(Open(Split::kTrain).value()->fingerprint(), Make()->fingerprint());
}

TEST_F(OpenTextDatasetTest, NamesTheFileThatIsMissingOrUnfit) {
  EXPECT_EQ(Open(Split::kTrain).status().code(), Code::kNotFound);
  EXPECT_THAT(Open(Split::kTrain).status().message(), HasSubstr("train.tokens"));
  ASSERT_TRUE(WriteTokenFile(FileSystem::Real(), directory_ + "/test.tokens", SampleText(1)).ok());
  EXPECT_THAT(Open(Split::kTest).status().message(), HasSubstr("test.tokens\": 1 document"));
}

}  // namespace
}  // namespace drover
