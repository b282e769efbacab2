// Counted by hand, product by product: 2 x rows x inputs x outputs.

#include "worker/nn/model_flops.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "worker/nn/bert.h"
#include "worker/nn/presets.h"

namespace drover {
namespace {

// Of one layer between an input of `dims` and a head that costs nothing.
double FlopsOf(const Dims& dims, LayerSpec layer, std::vector<LayerSpec> behind = {}) {
  NetworkSpec network;
  network.input = dims;
  network.layers.push_back(std::move(layer));
  for (LayerSpec& next : behind) network.layers.push_back(std::move(next));
  network.head.kind = MeanSquaredErrorSpec{};
  return ForwardFlops(network);
}

LayerSpec DenseOf(int64_t size) { return {.name = "dense", .kind = DenseSpec{.size = size}}; }

TEST(ModelFlopsTest, ADenseNetworkTrainsWithSixOperationsPerWeight) {
  const NetworkSpec mlp = MlpNetwork({28, 28, 1}, {128}, 10);
  EXPECT_EQ(ForwardFlops(mlp), 2 * (784 * 128 + 128 * 10));
  EXPECT_EQ(TrainingFlops(mlp), 6 * (784 * 128 + 128 * 10));
}

TEST(ModelFlopsTest, ADenseLayerCountsForEachRow) {
  EXPECT_EQ(FlopsOf({5, 8}, DenseOf(3)), 2 * 5 * 8 * 3);
}

TEST(ModelFlopsTest, AConvolutionCountsForEachWindow) {
  // 10 rows give 4 windows of 3 with stride 2, 9 columns 4.
  const LayerSpec valid = {
      .name = "conv",
      .kind = ConvolutionSpec{.filters = 5, .kernel = 3, .stride = 2, .padding = Padding::kValid}};
  EXPECT_EQ(FlopsOf({10, 9, 3}, valid), 2 * 16 * 27 * 5);
  const LayerSpec same = {.name = "conv",
                          .kind = ConvolutionSpec{.filters = 5, .kernel = 3, .stride = 2}};
  EXPECT_EQ(FlopsOf({10, 9, 3}, same), 2 * 25 * 27 * 5);
}

// Through pooling: 28 x 28, then 14 x 14, then 7 x 7 x 64.
TEST(ModelFlopsTest, TheConvolutionalPresetIsTheSumOfItsProducts) {
  EXPECT_EQ(ForwardFlops(CnnNetwork({28, 28, 1}, 10, PresetInit::kDefault)),
            1'254'400 + 20'070'400 + 6'422'528 + 20'480);
}

TEST(ModelFlopsTest, AttentionHasFourProductsOfTokensAndTwoOfTokensWithTokens) {
  const LayerSpec attention = {.name = "attention", .kind = AttentionSpec{.heads = 2}};
  EXPECT_EQ(FlopsOf({6, 8}, attention), 4 * (2 * 6 * 8 * 8) + 2 * (2 * 6 * 6 * 8));
}

TEST(ModelFlopsTest, ARecurrentLayerCountsItsGatesAtEachTimeStep) {
  using Cell = RecurrentSpec::Cell;
  const auto flops = [](const RecurrentSpec& spec) {
    return FlopsOf({7, 5}, {.name = "rnn", .kind = spec});
  };
  const int product = 2 * 3 * (5 + 3);  // 3 units, 5 features.
  EXPECT_EQ(flops({.cell = Cell::kRnn, .size = 3}), 7 * product);
  EXPECT_EQ(flops({.cell = Cell::kGru, .size = 3}), 7 * 3 * product);
  EXPECT_EQ(flops({.cell = Cell::kLstm, .size = 3}), 7 * 4 * product);
  EXPECT_EQ(flops({.cell = Cell::kLstm, .size = 3, .bidirectional = true}), 14 * 4 * product);
  // Backwards, the last output needs one step.
  EXPECT_EQ(flops({.cell = Cell::kLstm, .size = 3, .bidirectional = true, .last_only = true}),
            8 * 4 * product);
}

TEST(ModelFlopsTest, ShapesGoOnBehindEachLayer) {
  const RecurrentSpec both = {.size = 3, .bidirectional = true};
  EXPECT_EQ(FlopsOf({7, 5}, {.name = "rnn", .kind = both}, {DenseOf(2)}) -
                FlopsOf({7, 5}, {.name = "rnn", .kind = both}),
            2 * 7 * 6 * 2);
  const RecurrentSpec last = {.size = 3, .bidirectional = true, .last_only = true};
  EXPECT_EQ(FlopsOf({7, 5}, {.name = "rnn", .kind = last}, {DenseOf(2)}) -
                FlopsOf({7, 5}, {.name = "rnn", .kind = last}),
            2 * 6 * 2);
  EXPECT_EQ(FlopsOf({5, 8}, {.name = "", .kind = FlattenSpec{}}, {DenseOf(3)}), 2 * 40 * 3);
  EXPECT_EQ(FlopsOf({6}, {.name = "words", .kind = EmbeddingSpec{.vocabulary = 9, .size = 4}},
                    {DenseOf(3)}),
            2 * 6 * 4 * 3);
  EXPECT_EQ(FlopsOf({5, 8}, {.name = "", .kind = ResidualSpec{{DenseOf(8), DenseOf(8)}}}),
            2 * (2 * 5 * 8 * 8));
}

TEST(ModelFlopsTest, WhatIsNoMatrixProductCountsAsNothing) {
  for (const LayerSpec& layer :
       {LayerSpec{"", ReluSpec{}}, LayerSpec{"", SigmoidSpec{}}, LayerSpec{"", TanhSpec{}},
        LayerSpec{"", GeluSpec{}}, LayerSpec{"norm", LayerNormSpec{}},
        LayerSpec{"dropout", DropoutSpec{}}, LayerSpec{"", MaxPoolingSpec{}}}) {
    EXPECT_EQ(FlopsOf({8, 8, 2}, layer), 0);
  }
}

TEST(ModelFlopsTest, BertIsItsEncoderAndItsHeads) {
  const NetworkSpec tiny = BertNetwork(
      {.layers = 2, .hidden = 8, .heads = 2, .intermediate = 16, .positions = 6, .vocabulary = 50},
      /*tokens=*/6, /*predictions=*/2);
  const int attention = 4 * (2 * 6 * 8 * 8) + 2 * (2 * 6 * 6 * 8);
  const int feed_forward = 2 * (2 * 6 * 8 * 16);
  const int masked = 2 * 2 * (8 * 8 + 8 * 50);
  const int sentence = 2 * (8 * 8 + 8 * 2);
  EXPECT_EQ(ForwardFlops(tiny), 2 * (attention + feed_forward) + masked + sentence);
}

// Jiao et al. 2020, TinyBERT, arXiv:1909.10351, table 1: 22.5 billion for BERT-base on 128 tokens.
TEST(ModelFlopsTest, BertBaseNeedsWhatIsPublished) {
  const NetworkSpec base = BertNetwork(
      {.layers = 12, .hidden = 768, .heads = 12, .intermediate = 3072, .vocabulary = 30522}, 128,
      /*predictions=*/0);
  EXPECT_NEAR(ForwardFlops(base), 22.5e9, 0.01 * 22.5e9);
}

}  // namespace
}  // namespace drover
