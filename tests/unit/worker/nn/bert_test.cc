// BERT with both heads of pre-training: names and sizes, loss and gradient against PyTorch
// (tests/golden/bert.py), and the promises of worker/nn for text.

#include "worker/nn/bert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/thread.h"
#include "tests/unit/worker/nn/mlp_fixture.h"
#include "worker/nn/bert_pretraining.h"
#include "worker/nn/lane.h"

namespace drover {
namespace {

using testing::HasSubstr;

struct TextBatch {
  std::vector<int32_t> tokens, segments, lengths, labels, masked_positions, masked_labels;
  std::vector<uint64_t> positions;

  // Samples [begin, end).
  Batch Part(int64_t begin, int64_t end) const {
    const auto samples = static_cast<int64_t>(lengths.size());
    const int64_t row = static_cast<int64_t>(tokens.size()) / samples;
    const int64_t masked = static_cast<int64_t>(masked_labels.size()) / samples;
    Batch batch;
    batch.samples = end - begin;
    batch.tokens = tokens.data() + begin * row;
    batch.segments = segments.data() + begin * row;
    batch.lengths = lengths.data() + begin;
    batch.labels = labels.data() + begin;
    batch.masked_positions = masked_positions.data() + begin * masked;
    batch.masked_labels = masked_labels.data() + begin * masked;
    batch.seed = 9;
    batch.positions = positions.data() + begin;
    return batch;
  }
  Batch view() const { return Part(0, static_cast<int64_t>(lengths.size())); }
};

struct Golden {
  nlohmann::json json;
  BertSizes sizes;
  TextBatch batch;

  Golden() {
    std::ifstream file(DROVER_GOLDEN_DIR "/bert.json");
    json = nlohmann::json::parse(file);
    sizes.layers = json["layers"];
    sizes.hidden = json["hidden"];
    sizes.heads = json["heads"];
    sizes.intermediate = json["intermediate"];
    sizes.positions = json["positions"];
    sizes.vocabulary = json["vocabulary"];
    sizes.dropout = 0.0;
    batch.lengths = json["lengths"].get<std::vector<int32_t>>();
    batch.labels = json["labels"].get<std::vector<int32_t>>();
    Flatten("tokens", &batch.tokens);
    Flatten("segments", &batch.segments);
    Flatten("masked_positions", &batch.masked_positions);
    Flatten("masked_labels", &batch.masked_labels);
    batch.positions = {0, 1, 2, 3};
  }

  NetworkSpec network() const { return BertNetwork(sizes, /*tokens=*/6, /*predictions=*/3); }

  // The golden weights as a parameter space of `layout`, found by name.
  std::vector<float> Weights(const Layout& layout, const char* field = "weight") const {
    std::map<std::string, std::vector<float>> by_name;
    for (const auto& tensor : json["tensors"])
      by_name[tensor["name"].get<std::string>()] = tensor[field].get<std::vector<float>>();
    std::vector<float> weights = ParameterSpace(layout, 0.0f);
    EXPECT_EQ(layout.tensors().size(), by_name.size());
    for (size_t t = 0; t < layout.tensors().size(); ++t) {
      const std::vector<float>& values = by_name[layout.tensors()[t].name];
      EXPECT_EQ(values.size(), layout.tensor_size(t)) << layout.tensors()[t].name;
      std::ranges::copy(values, weights.begin() + static_cast<int64_t>(layout.tensor_offset(t)));
    }
    return weights;
  }

 private:
  void Flatten(const char* field, std::vector<int32_t>* to) const {
    for (const auto& row : json[field]) {
      for (const int32_t value : row) to->push_back(value);
    }
  }
};

class BertGradientTest : public testing::TestWithParam<int64_t> {};

// As one micro-batch, as several, and with one that must be padded.
TEST_P(BertGradientTest, EqualsPyTorchWhateverTheMicroBatch) {
  const Golden golden;
  const std::unique_ptr<Model> model = MakeModel(golden.network(), GetParam());
  const Layout& layout = model->layout();
  const std::vector<float> weights = golden.Weights(layout);
  const std::vector<float> expected = golden.Weights(layout, "gradient");
  std::vector<float> gradient = ParameterSpace(layout, NAN);

  BatchResult sum;
  for (int64_t begin = 0; begin < 4; begin += GetParam()) {
    const Batch part = golden.batch.Part(begin, std::min<int64_t>(4, begin + GetParam()));
    const Result<BatchResult> result =
        model->ForwardBackward(part, weights.data(), {gradient.data(), begin == 0, {}});
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    sum.loss_sum += result.value().loss_sum;
    sum.correct += result.value().correct;
    sum.masked_loss_sum += result.value().masked_loss_sum;
    sum.masked_tokens += result.value().masked_tokens;
    sum.masked_correct += result.value().masked_correct;
  }

  // Float32 rounding through five normalisations, of sums up to 33.
  EXPECT_NEAR(sum.loss_sum, golden.json["loss_sum"], 1e-5);
  EXPECT_NEAR(sum.masked_loss_sum, golden.json["masked_loss_sum"], 2e-5);
  EXPECT_EQ(sum.correct, golden.json["correct"]);
  EXPECT_EQ(sum.masked_tokens, golden.json["masked_tokens"]);
  EXPECT_EQ(sum.masked_correct, golden.json["masked_correct"]);
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    double worst = 0;
    double largest = 1;
    for (uint64_t i = 0; i < layout.tensor_size(t); ++i) {
      const uint64_t at = layout.tensor_offset(t) + i;
      worst = std::max(worst, std::abs(double{gradient[at]} - expected[at]));
      largest = std::max(largest, std::abs(double{expected[at]}));
    }
    // Some eighty roundings (2^-24 each) lie between a loss and the first layer.
    EXPECT_LT(worst, 5e-6 * largest) << layout.tensors()[t].name;
  }
}

INSTANTIATE_TEST_SUITE_P(MicroBatches, BertGradientTest, testing::Values(1, 2, 3, 4, 7));

// Factors of products are rounded to 8 bits: 2^-8 each, through some twenty products.
TEST(BertTest, Bfloat16IsNear) {
  const Golden golden;
  const std::unique_ptr<Model> model =
      Model::Make(golden.network(), {.micro_batch = 4, .precision = Precision::kBf16}).value();
  const Layout& layout = model->layout();
  const std::vector<float> weights = golden.Weights(layout);
  const std::vector<float> expected = golden.Weights(layout, "gradient");
  std::vector<float> gradient = ParameterSpace(layout, 0.0f);

  const BatchResult result =
      model->ForwardBackward(golden.batch.Part(0, 4), weights.data(), {gradient.data(), true, {}})
          .value();

  const double loss = golden.json["loss_sum"];
  EXPECT_NEAR(result.loss_sum, loss, 0.01 * loss);
  EXPECT_NE(result.loss_sum, loss);
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    double worst = 0;
    double largest = 1;
    for (uint64_t i = 0; i < layout.tensor_size(t); ++i) {
      const uint64_t at = layout.tensor_offset(t) + i;
      worst = std::max(worst, std::abs(double{gradient[at]} - expected[at]));
      largest = std::max(largest, std::abs(double{expected[at]}));
    }
    EXPECT_LT(worst, 0.08 * largest) << layout.tensors()[t].name;
  }
}

// NVIDIA's count of BERT-Large with both heads (vocabulary padded to 30,528): the word embedding,
// which the decoder of masked tokens shares, is counted once.
TEST(BertTest, LargeHasTheTensorsAndParametersOfThePaper) {
  const BertSizes sizes = {
      .layers = 24, .hidden = 1024, .heads = 16, .intermediate = 4096, .vocabulary = 30528};
  const NetworkSpec network = BertNetwork(sizes, 1, 1);
  const std::unique_ptr<Model> model = MakeModel(network, 1);

  EXPECT_EQ(model->tensors().size(), 398u);
  EXPECT_EQ(model->layout().parameter_count(), 336'232'258u);
}

TEST(BertTest, TensorsBeginAsHuggingFaceHasThem) {
  const std::unique_ptr<Model> model = MakeModel(Golden().network(), 1);

  for (const TensorSpec& tensor : model->tensors()) {
    InitRule expected = {.kind = InitRule::Kind::kNormal, .value = 0.02f};
    if (tensor.name.ends_with("bias")) expected = {};
    if (tensor.name.ends_with("LayerNorm.weight")) expected = {InitRule::Kind::kConstant, 1.0f};
    EXPECT_EQ(tensor.init, expected) << tensor.name;
  }
}

struct Computed {
  std::vector<float> gradient;
  BatchResult result;

  friend bool operator==(const Computed& a, const Computed& b) {
    return a.result.loss_sum == b.result.loss_sum &&
           a.result.masked_loss_sum == b.result.masked_loss_sum &&
           a.gradient.size() == b.gradient.size() &&
           std::memcmp(a.gradient.data(), b.gradient.data(), 4 * a.gradient.size()) == 0;
  }
};

Computed Compute(Model* model, const Batch& batch, const std::vector<float>& weights) {
  Computed computed{ParameterSpace(model->layout(), 0.0f), {}};
  const Result<BatchResult> result =
      model->ForwardBackward(batch, weights.data(), {computed.gradient.data(), true, {}});
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  if (result.ok()) computed.result = result.value();
  return computed;
}

TEST(BertTest, WhatStandsInPaddingDoesNotMatter) {
  Golden golden;
  golden.sizes.dropout = 0.1;
  const std::unique_ptr<Model> model = MakeModel(golden.network(), 4);
  const std::vector<float> weights = golden.Weights(model->layout());
  const Computed before = Compute(model.get(), golden.batch.view(), weights);

  for (size_t sample = 0; sample < 4; ++sample) {
    for (auto i = static_cast<size_t>(golden.batch.lengths[sample]); i < 6; ++i) {
      golden.batch.tokens[sample * 6 + i] = -77;
      golden.batch.segments[sample * 6 + i] = 99;
    }
  }

  EXPECT_TRUE(Compute(model.get(), golden.batch.view(), weights) == before);
}

TEST(BertTest, WhatLiesBehindAShortBatchDoesNotMatter) {
  Golden golden;
  const std::unique_ptr<Model> model = MakeModel(golden.network(), 4);
  const std::vector<float> weights = golden.Weights(model->layout());
  Compute(model.get(), golden.batch.view(), weights);  // Leaves its traces.
  const Computed before = Compute(model.get(), golden.batch.Part(0, 3), weights);

  std::fill(golden.batch.tokens.begin() + 18, golden.batch.tokens.end(), 1000);
  golden.batch.masked_labels[9] = 1000;

  EXPECT_TRUE(Compute(model.get(), golden.batch.Part(0, 3), weights) == before);
  EXPECT_EQ(before.result.samples, 3);
}

// A sample is dropped out by where it stands among the training samples, not by who computes it.
TEST(BertTest, DropoutFollowsTheSample) {
  Golden golden;
  golden.sizes.dropout = 0.3;
  const std::unique_ptr<Model> whole = MakeModel(golden.network(), 4);
  const std::unique_ptr<Model> single = MakeModel(golden.network(), 1);
  const std::vector<float> weights = golden.Weights(whole->layout());

  const double together = Compute(whole.get(), golden.batch.view(), weights).result.loss_sum;
  const auto one_by_one = [&] {
    double sum = 0;
    for (int64_t i = 0; i < 4; ++i) {
      sum += Compute(single.get(), golden.batch.Part(i, i + 1), weights).result.loss_sum;
    }
    return sum;
  };

  EXPECT_NEAR(one_by_one(), together, 2e-5);
  golden.batch.positions = {5, 6, 7, 8};
  EXPECT_GT(std::abs(one_by_one() - together), 1e-3);
  // Evaluations drop nothing.
  EXPECT_NEAR(whole->Evaluate(golden.batch.view(), weights.data()).value().loss_sum,
              golden.json["loss_sum"], 1e-5);
}

// Made-up text for a tiny BERT: every sample of another length.
TextBatch MadeUpText(int64_t samples, int64_t tokens, int64_t predictions, int64_t vocabulary) {
  TextBatch batch;
  const auto random = [](uint64_t stream, int64_t i, int64_t below) {
    const uint32_t word = Philox(3, stream, static_cast<uint64_t>(i))[0];
    return static_cast<int32_t>(word % static_cast<uint32_t>(below));
  };
  for (int64_t i = 0; i < samples * tokens; ++i) {
    batch.tokens.push_back(random(1, i, vocabulary));
    batch.segments.push_back(random(2, i, 2));
  }
  for (int64_t i = 0; i < samples; ++i) {
    batch.lengths.push_back(static_cast<int32_t>(tokens - i));
    batch.labels.push_back(random(3, i, 2));
    batch.positions.push_back(static_cast<uint64_t>(40 + i));
  }
  for (int64_t i = 0; i < samples * predictions; ++i) {
    batch.masked_positions.push_back(random(4, i, tokens - samples));
    batch.masked_labels.push_back(random(5, i, vocabulary));
  }
  return batch;
}

NetworkSpec TinyNetwork() {
  const BertSizes sizes = {.layers = 2,
                           .hidden = 128,
                           .heads = 2,
                           .intermediate = 512,
                           .positions = 40,
                           .vocabulary = 300};
  return BertNetwork(sizes, 33, 5);
}

TEST(BertTest, LanesAndAddressesDoNotMatter) {
  PinLaneToOneThread();
  const TextBatch batch = MadeUpText(6, 33, 5, 300);
  const std::unique_ptr<Model> model = MakeModel(TinyNetwork(), 6);
  const std::vector<float> weights = InitialWeights(model->layout(), 6);
  const Computed expected = Compute(model.get(), batch.view(), weights);
  EXPECT_NEAR(expected.result.masked_loss_sum / 30, std::log(300.0), 0.3);

  std::vector<char> equal(3, 0);
  {
    std::vector<Thread> lanes;
    for (char& lane_equal : equal) {
      lanes.emplace_back("lane", [&] {
        PinLaneToOneThread();
        const std::unique_ptr<Model> own = MakeModel(TinyNetwork(), 6);
        lane_equal = Compute(own.get(), batch.view(), weights) == expected ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(equal, std::vector<char>(3, 1));

  for (size_t shift = 1; shift < 16; shift += 5) {
    std::vector<float> shifted(shift, 0.0f);
    shifted.insert(shifted.end(), weights.begin(), weights.end());
    std::vector<float> gradient(shift + weights.size(), 0.0f);
    ASSERT_TRUE(model
                    ->ForwardBackward(batch.view(), shifted.data() + shift,
                                      {gradient.data() + shift, true, {}})
                    .ok());
    EXPECT_EQ(std::memcmp(gradient.data() + shift, expected.gradient.data(), 4 * weights.size()),
              0);
  }
}

TEST(BertTest, RefusesBadTextAndWritesNothing) {
  const auto refusal = [](auto change) {
    Golden golden;
    change(&golden.batch);
    const std::unique_ptr<Model> model = MakeModel(golden.network(), 4);
    const std::vector<float> weights = golden.Weights(model->layout());
    std::vector<float> gradient = ParameterSpace(model->layout(), 7.0f);
    const Result<BatchResult> result =
        model->ForwardBackward(golden.batch.view(), weights.data(), {gradient.data(), true, {}});
    EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(gradient, ParameterSpace(model->layout(), 7.0f));
    return result.status().message();
  };
  EXPECT_THAT(refusal([](TextBatch* b) { b->tokens[8] = 20; }),
              HasSubstr("bert.embeddings: sample 1: token 20 at position 2, expected 0 to 19"));
  EXPECT_THAT(refusal([](TextBatch* b) { b->labels[2] = 2; }),
              HasSubstr("next-sentence label 2 of sample 2, expected 0 or 1"));
  EXPECT_THAT(refusal([](TextBatch* b) { b->masked_labels[1] = 20; }),
              HasSubstr("label 20 of masked token 1 of sample 0, expected 0 to 19"));
  EXPECT_THAT(refusal([](TextBatch* b) { b->masked_positions[3] = 4; }),
              HasSubstr("position 4 of masked token 0 of sample 1, expected 0 to 3"));

  const Golden golden;
  const std::unique_ptr<Model> model = MakeModel(golden.network(), 4);
  const std::vector<float> weights = golden.Weights(model->layout());
  Batch images = golden.batch.view();
  images.tokens = nullptr;
  EXPECT_THAT(model->Evaluate(images, weights.data()).status().message(),
              HasSubstr("it must be text"));
}

TEST(BertTest, RefusesSizesThatDoNotFit) {
  const auto refusal = [](auto change, int64_t predictions = 3) {
    Golden golden;
    change(&golden.sizes);
    return Model::Make(BertNetwork(golden.sizes, 6, predictions), {.micro_batch = 4})
        .status()
        .message();
  };
  EXPECT_THAT(refusal([](BertSizes* s) { s->heads = 3; }),
              HasSubstr("3 heads, expected a divisor of the size 8"));
  EXPECT_THAT(refusal([](BertSizes* s) { s->positions = 5; }), HasSubstr("positions=5"));
  EXPECT_THAT(refusal([](BertSizes* s) { s->vocabulary = 0; }), HasSubstr("is the dataset text?"));
  EXPECT_THAT(refusal([](BertSizes*) {}, 0), HasSubstr("0 masked ones per sample"));
}

TEST(BertTest, TokensAreReadByAnEmbeddingInFrontAndByNothingElse) {
  const auto refusal = [](auto change) {
    NetworkSpec network = Golden().network();
    change(&network);
    return Model::Make(network, {.micro_batch = 4}).status().message();
  };
  EXPECT_THAT(refusal([](NetworkSpec* n) { n->layers.erase(n->layers.begin()); }),
              HasSubstr("the dataset is text, expected an embedding as the first layer"));
  EXPECT_THAT(refusal([](NetworkSpec* n) { n->layers.clear(); }),
              HasSubstr("expected an embedding as the first layer"));
  EXPECT_THAT(refusal([](NetworkSpec* n) { n->layers.push_back(n->layers.front()); }),
              HasSubstr("an embedding, expected only as the first layer"));
}

TEST(MaskedTokenLossTest, EqualsTheFormulaAndTakesTheFirstOfEqualAnswers) {
  const std::vector<float> logits = {0.5f, 2.0f, -1.0f, 2.0f};
  double sum = 0;
  for (const float z : logits) sum += std::exp(double{z});

  for (const int32_t label : {1, 3}) {
    std::vector<float> gradient = logits;
    bool correct = false;
    const double loss = MaskedTokenLossCpu(4, label, 0.5f, gradient.data(), &correct);

    EXPECT_NEAR(loss, std::log(sum) - 2.0, 1e-6);
    EXPECT_EQ(correct, label == 1);
    for (size_t j = 0; j < 4; ++j) {
      const double one = static_cast<int32_t>(j) == label ? 1.0 : 0.0;
      EXPECT_NEAR(gradient[j], 0.5 * (std::exp(double{logits[j]}) / sum - one), 1e-7);
    }
  }
}

}  // namespace
}  // namespace drover
