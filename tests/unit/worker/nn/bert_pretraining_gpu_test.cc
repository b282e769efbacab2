#include "worker/nn/bert_pretraining_gpu.h"

#include <gtest/gtest.h>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_head_probe.h"
#include "worker/nn/layer_table.h"

namespace drover {
namespace {

constexpr int64_t kTokens = 6;
constexpr int64_t kEntries = 3;
constexpr int64_t kMicroBatch = 4;

// Sample 0 asks for one token, which is the first, and a hole stands before it; sample 1 asks for
// one token twice; sample 2 asks for nothing; sample 3 for all it can.
struct Text {
  std::vector<int32_t> tokens = std::vector<int32_t>(kMicroBatch * kTokens, 1);
  std::vector<int32_t> lengths = {2, 6, 1, 5};
  std::vector<int32_t> positions = {0, 0, 0, 3, 3, 0, 0, 0, 0, 4, 2, 0};
  std::vector<int32_t> labels = {-1, 130, -1, 7, 9, 0, -1, -1, -1, 64, 65, 128};
  std::vector<int32_t> next = {0, 1, 1, 0};

  Batch Samples(int64_t samples) const {
    return {.labels = next.data(),
            .samples = samples,
            .tokens = tokens.data(),
            .lengths = lengths.data(),
            .masked_positions = positions.data(),
            .masked_labels = labels.data()};
  }
};

HeadSpec Pretraining(int64_t vocabulary, int64_t size) {
  return {BertPretrainingSpec{.embedding = "bert.embeddings",
                              .words = {.vocabulary = vocabulary, .size = size},
                              .predictions = kEntries}};
}

// Makes heads that see this many rows of logits at a time, each of at most 192 values.
GpuHeadMakerForTest RowsAtATime(int64_t rows) {
  return [rows](const HeadSpec& spec, const Dims& input, const LayerSetting& setting) {
    const Result<std::unique_ptr<Head>> same = MakeHead(spec, input, setting);
    return MakeBertPretrainingGpu(*same.value(), std::get<BertPretrainingSpec>(spec.kind), input,
                                  setting, rows * 192);
  };
}

TEST(BertPretrainingGpuTest, AgreesWithTheCpuWhateverTheSlices) {
  const Text text;
  emulator::ForEachSeed(3, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const int64_t rows : {1, 5, 100}) {
      SCOPED_TRACE(rows);
      ExpectGpuHeadAgrees(
          Pretraining(131, 12), {kTokens, 12}, kMicroBatch,
          {.batch = text.Samples(4), .predictions = kEntries, .make = RowsAtATime(rows)});
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// Two entries of sample 1 ask for one token, so the order of a sum is at stake, too.
TEST(BertPretrainingGpuTest, HasTheSameBitsInAnyOrderOfThreads) {
  const Text text;
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    std::vector<GpuHeadOutcome> outcomes;
    emulator::ForEachSeed(10, [&](uint64_t seed) {
      SCOPED_TRACE(seed);
      outcomes.push_back(ExpectGpuHeadAgrees(Pretraining(131, 12), {kTokens, 12}, kMicroBatch,
                                             {.batch = text.Samples(4),
                                              .predictions = kEntries,
                                              .precision = precision,
                                              .tolerance = 0.03,
                                              .make = RowsAtATime(5)}));
      EXPECT_TRUE(IsSame(outcomes.back(), outcomes.front()));
      EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
    });
  }
}

// A row of 33 values cannot be moved four at a time; 1,100 tokens take a block.
TEST(BertPretrainingGpuTest, AgreesWithTheCpuForOddRowsAndAVocabularyOfMany) {
  const Text text;
  ExpectGpuHeadAgrees(Pretraining(1100, 33), {kTokens, 33}, kMicroBatch,
                      {.batch = text.Samples(4), .predictions = kEntries});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(BertPretrainingGpuTest, PaddingContributesNothing) {
  const Text text;
  for (const int64_t samples : {1, 3}) {
    ExpectGpuHeadAgrees(
        Pretraining(131, 12), {kTokens, 12}, kMicroBatch,
        {.batch = text.Samples(samples), .predictions = kEntries, .make = RowsAtATime(5)});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// The embedding may have begun the sum of the tensor that it shares.
TEST(BertPretrainingGpuTest, AddsToGradientsThatAreThere) {
  const Text text;
  ExpectGpuHeadAgrees(Pretraining(131, 12), {kTokens, 12}, kMicroBatch,
                      {.batch = text.Samples(4),
                       .predictions = kEntries,
                       .accumulate = true,
                       .make = RowsAtATime(5)});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(BertPretrainingGpuTest, AnEvaluationNeedsNoGradients) {
  const Text text;
  ExpectGpuHeadAgrees(Pretraining(131, 12), {kTokens, 12}, kMicroBatch,
                      {.batch = text.Samples(4), .predictions = kEntries, .wants_gradient = false});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// Some ten roundings to 8 bits (2^-9 each) lie between the input and its gradient, and the
// normalisation of 12 values in between may enlarge them.
TEST(BertPretrainingGpuTest, IsNearInBf16) {
  const Text text;
  for (const int64_t samples : {4, 3}) {
    ExpectGpuHeadAgrees(Pretraining(131, 12), {kTokens, 12}, kMicroBatch,
                        {.batch = text.Samples(samples),
                         .predictions = kEntries,
                         .precision = Precision::kBf16,
                         .tolerance = 0.03,
                         .make = RowsAtATime(5)});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
