#include "worker/nn/embedding_gpu.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/philox.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

LayerSpec Spec(const EmbeddingSpec& spec) { return {.name = "embedding", .kind = spec}; }

// Random text of `samples` samples of `length` tokens, the lengths 1 to `length`.
class Text {
 public:
  Text(int64_t samples, int64_t length, int64_t vocabulary, int64_t segments = 2) {
    const auto count = static_cast<size_t>(samples * length);
    for (size_t i = 0; i < count; ++i) {
      const auto words = Philox(9, 1, i);
      tokens_.push_back(static_cast<int32_t>(words[0] % static_cast<uint32_t>(vocabulary)));
      segments_.push_back(static_cast<int32_t>(words[1] % static_cast<uint32_t>(segments)));
    }
    for (int64_t s = 0; s < samples; ++s) {
      lengths_.push_back(static_cast<int32_t>(s % length + 1));
    }
  }

  Batch batch() const {
    return {.tokens = tokens_.data(), .segments = segments_.data(), .lengths = lengths_.data()};
  }

 private:
  std::vector<int32_t> tokens_, segments_, lengths_;
};

GpuProbeOptions Reading(const Batch& batch) { return {.batch = batch, .reads_values = false}; }

TEST(EmbeddingGpuTest, AgreesWithTheCpu) {
  const Text text(3, 6, 11);
  emulator::ForEachSeed(5, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const int64_t size : {1, 12, 33, 136}) {
      SCOPED_TRACE(size);
      const LayerSpec spec = Spec({.vocabulary = 11, .size = size, .positions = 8, .segments = 2});
      ExpectGpuLayerAgrees(spec, {6}, 3, Reading(text.batch()));
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(EmbeddingGpuTest, MayHaveWordsOnly) {
  const Text text(3, 6, 400);
  ExpectGpuLayerAgrees(Spec({.vocabulary = 400, .size = 5}), {6}, 3, Reading(text.batch()));
}

TEST(EmbeddingGpuTest, TakesAllSegmentsForZeroAndAllTokensForRealUnlessTold) {
  const Text text(3, 6, 11);
  Batch batch = text.batch();
  batch.segments = nullptr;
  batch.lengths = nullptr;
  ExpectGpuLayerAgrees(Spec({.vocabulary = 11, .size = 5, .positions = 6, .segments = 3}), {6}, 3,
                       Reading(batch));
}

// Runs of equal tokens that are longer than what one block adds up, begin anywhere and end at the
// edges of blocks.
TEST(EmbeddingGpuTest, AddsUpLongRunsOfEqualTokens) {
  for (const int64_t vocabulary : {1, 2, 5}) {
    SCOPED_TRACE(vocabulary);
    const Text text(40, 8, vocabulary);
    GpuProbeOptions options = Reading(text.batch());
    ExpectGpuLayerAgrees(Spec({.vocabulary = vocabulary, .size = 3}), {8}, 40, options);
    options.batch.lengths = nullptr;
    ExpectGpuLayerAgrees(Spec({.vocabulary = vocabulary, .size = 8}), {8}, 40, options);
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(EmbeddingGpuTest, AddsToGradientsThatAreThere) {
  const Text text(20, 6, 11);
  GpuProbeOptions options = Reading(text.batch());
  options.accumulate = true;
  ExpectGpuLayerAgrees(Spec({.vocabulary = 11, .size = 12, .positions = 8, .segments = 2}), {6}, 20,
                       options);
}

TEST(EmbeddingGpuTest, PaddingSamplesGetNoGradient) {
  const Text text(5, 6, 11);
  GpuProbeOptions options = Reading(text.batch());
  options.batch.samples = 2;
  ExpectGpuLayerAgrees(Spec({.vocabulary = 11, .size = 12, .positions = 6, .segments = 2}), {6}, 5,
                       options);
}

// Sums over segments in one slice and in several.
TEST(EmbeddingGpuTest, MayHaveManySegments) {
  const Text text(40, 6, 11, 600);
  ExpectGpuLayerAgrees(Spec({.vocabulary = 11, .size = 4, .segments = 600}), {6}, 40,
                       Reading(text.batch()));
}

// Rows of the tables stay float32: only the result is rounded, to 2^-9 of at most 3.
TEST(EmbeddingGpuTest, RoundsOnlyItsResultsInBf16) {
  const Text text(3, 6, 11);
  for (const int64_t size : {3, 33, 136}) {
    GpuProbeOptions options = Reading(text.batch());
    options.precision = Precision::kBf16;
    options.tolerance = 0x1p-8;
    ExpectGpuLayerAgrees(Spec({.vocabulary = 11, .size = size, .positions = 8, .segments = 2}), {6},
                         3, options);
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(EmbeddingGpuTest, AddsUpWordsWithTheSameBitsInAnyOrderOfThreads) {
  const EmbeddingShapeGpu shape = {
      .micro_batch = 40, .length = 8, .size = 4, .vocabulary = 3, .segments = 0};
  const Text text(40, 8, 3);
  const std::vector<float> noise = ProbeNoise(static_cast<size_t>(shape.rows() * shape.size), 1);
  const auto sums = [&] {
    GpuArrays arrays;
    Batch batch = text.batch();
    batch.samples = shape.micro_batch;
    const GradientSum dwords = {reinterpret_cast<float*>(arrays.Bytes(12 * sizeof(float))), false};
    EXPECT_TRUE(
        EmbeddingBackwardWordsGpu(arrays.stream(), shape,
                                  arrays.CopyBatch(batch, shape.micro_batch, {shape.length}),
                                  arrays.Values(noise, ValueType::kF32), dwords,
                                  arrays.Bytes(EmbeddingWordsScratchBytes(shape)))
            .ok());
    return arrays.ReadAs<float>(dwords.values, 12);
  };
  const std::vector<float> expected = sums();

  emulator::ForEachSeed(8, [&](uint64_t) { EXPECT_EQ(sums(), expected); });

  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
