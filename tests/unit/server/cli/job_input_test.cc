#include "server/cli/job_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/spec.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

const std::string kExamples = DROVER_SOURCE_DIR "/docs/examples/";

TEST(ExamplesTest, AreGoodJobs) {
  for (const char* name : {"quickstart.yaml", "adamw.yaml", "layers.yaml"}) {
    const Result<JobFile> file = ReadCheckedJobFile(kExamples + name, {});
    EXPECT_TRUE(file.ok()) << file.status().message();
  }
}

TEST(ExamplesTest, TheQuickstartIsTheOneThatDocumentsPromise) {
  const JobPlan plan =
      PlanJob(ReadCheckedJobFile(kExamples + "quickstart.yaml", {}).value().spec).value();

  EXPECT_EQ(plan.name, "digits-lamb");
  EXPECT_EQ(plan.phases[0].batch, 32768);
  EXPECT_EQ(plan.phases[0].leaves, 32);
  EXPECT_EQ(plan.steps, 73);
  EXPECT_EQ(plan.optimizer.rule, Rule::kLamb);
  EXPECT_EQ(plan.optimizer.max_grad_norm, 1.0);
  EXPECT_EQ(plan.phases[0].schedule.decay, Decay::kPolynomial);
  EXPECT_EQ(plan.target_accuracy, 0.97);
}

TEST(ExamplesTest, MnistSaysThatItNeedsAPath) {
  const Result<JobFile> without = ReadCheckedJobFile(kExamples + "mnist.yaml", {});
  ASSERT_FALSE(without.ok());
  EXPECT_THAT(without.status().message(), HasSubstr("dataset.idx.path: is missing: the folder"));

  const std::vector<std::string> set = {"dataset.idx.path=/nonexistent"};
  const Result<JobFile> with = ReadCheckedJobFile(kExamples + "mnist.yaml", set);
  ASSERT_TRUE(with.ok()) << with.status().message();
  EXPECT_THAT(CheckLocalDataset(with.value()).message(),
              HasSubstr("--set dataset.idx.path=/nonexistent: dataset.idx.path: "));
}

TEST(JobInputTest, ViolationsHaveTheirPlace) {
  TempDirectory directory;
  directory.Write("a.yaml", "name: a\nleaves: 0\nschedule: {peak: -1}\n");

  const Result<JobFile> file = ReadCheckedJobFile(directory.File("a.yaml"), {});

  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(file.status().message(),
              HasSubstr(directory.File("a.yaml") + ":2:1: leaves: is 0, expected 1 to 4096"));
  EXPECT_THAT(file.status().message(), HasSubstr("a.yaml:3:12: schedule.peak: is -1"));
}

TEST(JobInputTest, AFolderThatIsThereIsFine) {
  TempDirectory directory;
  JobFile file;
  file.spec.mutable_dataset()->mutable_idx()->set_path(directory.path());
  EXPECT_TRUE(CheckLocalDataset(file).ok());
  EXPECT_TRUE(CheckLocalDataset(JobFile()).ok());
}

TEST(JobInputTest, AFolderOfTextHoldsTokenFiles) {
  TempDirectory directory;
  JobFile file;
  file.spec.mutable_dataset()->mutable_text()->set_path(directory.path());
  EXPECT_THAT(CheckLocalDataset(file).message(), HasSubstr("holds no train.tokens; make it with"));
  directory.Write("train.tokens", "");
  EXPECT_THAT(CheckLocalDataset(file).message(), HasSubstr("holds no test.tokens"));
  directory.Write("test.tokens", "");
  EXPECT_TRUE(CheckLocalDataset(file).ok());

  file.spec.mutable_dataset()->mutable_text()->set_path(directory.File("none"));
  EXPECT_EQ(CheckLocalDataset(file).code(), Code::kInvalidArgument);
}

TEST(SpecDigestTest, IsEqualForEqualSpecsOnly) {
  v1::JobSpec a;
  v1::JobSpec b;
  for (int i = 0; i < 20; ++i) (*a.mutable_labels())[std::to_string(i)] = "x";
  for (int i = 19; i >= 0; --i) (*b.mutable_labels())[std::to_string(i)] = "x";
  EXPECT_EQ(SpecDigest(a), SpecDigest(b));

  b.set_steps(1);
  EXPECT_NE(SpecDigest(a), SpecDigest(b));
}

}  // namespace
}  // namespace drover
