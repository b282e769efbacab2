#include "worker/train/job_setup.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/text/token_file.h"
#include "tests/unit/worker/data/sample_text.h"
#include "worker/train/leaf_runner.h"
#include "worker/train/network_proto.h"

namespace drover {
namespace {

using testing::HasSubstr;

v1::JobSpec Spec(const std::string& dataset) {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "model { mlp {} } batch: 4 leaves: 2 micro_batch: 2 seed: 1 dataset { " + dataset + " }",
      &spec));
  return spec;
}

TEST(JobSetupTest, RefusesLeavesThatAreNotWholeMicroBatches) {
  v1::JobSpec spec = Spec("synthetic_digits {}");
  spec.set_micro_batch(3);
  EXPECT_THAT(SetUpJob(spec).status().message(), HasSubstr("whole micro-batches"));
}

TEST(JobSetupTest, RefusesADatasetThatItDoesNotKnow) {
  EXPECT_EQ(SetUpJob(Spec("")).status().code(), Code::kInvalidArgument);
}

class TextJobTest : public testing::Test {
 protected:
  TextJobTest() {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~TextJobTest() override { std::filesystem::remove_all(directory_); }

  Status SetUp(const std::string& fields = "") {
    return SetUpJob(Spec("text { path: '" + directory_ + "' " + fields + " }")).status();
  }

  const std::string directory_ = testing::TempDir() + "drover_text_job";
};

TEST_F(TextJobTest, NamesTheSplitThatIsMissing) {
  EXPECT_THAT(SetUp().message(), HasSubstr("train.tokens"));
  ASSERT_TRUE(WriteTokenFile(FileSystem::Real(), directory_ + "/train.tokens", SampleText(9)).ok());
  EXPECT_THAT(SetUp().message(), HasSubstr("test.tokens"));
}

TEST_F(TextJobTest, RefusesSequencesOutOfRange) {
  EXPECT_THAT(SetUp("sequence_length: 7").message(), HasSubstr("expected 8 to 4096"));
  EXPECT_THAT(SetUp("sequence_length: 1099511627776").message(), HasSubstr("expected 8 to 4096"));
}

TEST_F(TextJobTest, AnMlpDoesNotReadTokens) {
  for (const char* name : {"/train.tokens", "/test.tokens"}) {
    ASSERT_TRUE(WriteTokenFile(FileSystem::Real(), directory_ + name, SampleText(9)).ok());
  }
  EXPECT_THAT(SetUp().message(), HasSubstr("gives tokens"));
}

TEST_F(TextJobTest, ABertTakesVocabularyAndLengthOfTheText) {
  for (const char* name : {"/train.tokens", "/test.tokens"}) {
    ASSERT_TRUE(WriteTokenFile(FileSystem::Real(), directory_ + name, SampleText(9)).ok());
  }
  v1::JobSpec spec = Spec("text { path: '" + directory_ + "' sequence_length: 12 }");
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "size: SIZE_TINY layers: 1 hidden: 4 heads: 1 intermediate: 8 positions: 12 "
      "vocabulary_multiple: 8 dropout: 0.1",
      spec.mutable_model()->mutable_bert()));
  spec.mutable_numerics()->set_recompute(true);

  const JobSetup setup = SetUpJob(spec).value();

  EXPECT_TRUE(setup.recompute);

  EXPECT_EQ(setup.network.input, Dims{12});
  EXPECT_EQ(setup.network.predictions, setup.train->shape().predictions);
  EXPECT_EQ(setup.network.vocabulary % 8, 0);
  EXPECT_GE(setup.network.vocabulary, setup.train->shape().vocabulary);
  EXPECT_LT(setup.network.vocabulary, setup.train->shape().vocabulary + 8);
}

TEST_F(TextJobTest, APhaseTrainsOnSamplesOfItsOwnLength) {
  for (const char* name : {"/train.tokens", "/test.tokens"}) {
    ASSERT_TRUE(WriteTokenFile(FileSystem::Real(), directory_ + name, SampleText(9)).ok());
  }
  v1::JobSpec spec = Spec("text { path: '" + directory_ + "' sequence_length: 12 }");
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "size: SIZE_TINY layers: 1 hidden: 4 heads: 1 intermediate: 8 positions: 16 "
      "vocabulary_multiple: 8 dropout: 0.1",
      spec.mutable_model()->mutable_bert()));
  for (int phase = 0; phase < 2; ++phase) {
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "steps: 1 batch: 4 leaves: 2 micro_batch: 2", spec.add_phases()));
  }
  spec.mutable_phases(1)->set_sequence_length(16);

  const JobSetup setup = SetUpJob(spec).value();

  EXPECT_EQ(setup.TrainOf(setup.phases[0]).shape().extents, Dims{12});
  EXPECT_EQ(setup.TrainOf(setup.phases[1]).shape().extents, Dims{16});
  EXPECT_EQ(setup.NetworkOf(setup.phases[0]).input, Dims{12});
  EXPECT_EQ(setup.NetworkOf(setup.phases[1]).input, Dims{16});
  const std::unique_ptr<LeafRunner> runner = LeafRunner::Make(setup).value();
  std::vector<float> weights(runner->layout().SpanElements(runner->layout().all_blocks()), 0.01f);
  std::vector<float> gradient(weights.size());
  const std::atomic<bool> cancelled = false;
  for (int64_t step = 0; step < 2; ++step) {
    EXPECT_EQ(
        runner->RunLeaf(step, 1, weights.data(), gradient.data(), {}, cancelled).value().samples,
        2);
    EXPECT_EQ(runner->Evaluate(step, 0, 1, weights.data()).value().samples, 1);
  }

  spec.mutable_phases(1)->set_sequence_length(20);
  EXPECT_THAT(LeafRunner::Make(SetUpJob(spec).value()).status().message(), HasSubstr("positions"));
}

TEST(NetworkOfTest, ABertDoesNotReadImages) {
  v1::ModelSpec model;
  model.mutable_bert()->set_vocabulary_multiple(1);

  EXPECT_EQ(NetworkOf(model, {.extents = {28, 28, 1}, .classes = 10}).status().message(),
            "model.bert: the dataset is not text");
}

}  // namespace
}  // namespace drover
