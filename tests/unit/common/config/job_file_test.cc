#include "common/config/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/file_system.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Result<JobFile> Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ParseJobFile("digits.yaml", text, overrides);
}

// The errors of a file that must not be read.
std::string Errors(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const Result<JobFile> file = Parse(text, overrides);
  EXPECT_FALSE(file.ok()) << text;
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), Code::kInvalidArgument);
  return file.status().message();
}

v1::JobSpec Spec(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Result<JobFile> file = Parse(text, overrides);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? file.value().spec : v1::JobSpec();
}

TEST(JobFileTest, ReadsLayersByNameAloneAndNested) {
  const v1::JobSpec spec = Spec(
      "model:\n"
      "  layers:\n"
      "    - dense: {size: 256}\n"
      "    - relu\n"
      "    - residual: {layers: [gelu, {name: inner, dense: {size: 256, init: lecun}}]}\n"
      "    - {name: last, recurrent: {cell: lstm, output: sequence}}\n"
      "  loss: mean_squared_error\n",
      {"model.loss=softmax_cross_entropy"});

  ASSERT_EQ(spec.model().layers_size(), 4);
  EXPECT_EQ(spec.model().layers(0).dense().size(), 256);
  EXPECT_TRUE(spec.model().layers(1).has_relu());
  EXPECT_TRUE(spec.model().layers(2).residual().layers(0).has_gelu());
  EXPECT_EQ(spec.model().layers(2).residual().layers(1).name(), "inner");
  EXPECT_EQ(spec.model().layers(3).recurrent().output(), v1::Layer::Recurrent::OUTPUT_SEQUENCE);
  EXPECT_EQ(spec.model().loss(), v1::ModelSpec::LOSS_SOFTMAX_CROSS_ENTROPY);
}

TEST(JobFileTest, ALayerIsOneKindByItsName) {
  EXPECT_EQ(Errors("model: {layers: [drop_out, name, {relu: {}, gelu: {}}]}\n"),
            "digits.yaml:1:18: model.layers[0]: \"drop_out\"; did you mean \"dropout\"?\n"
            "digits.yaml:1:28: model.layers[1]: \"name\"\n"
            "digits.yaml:1:45: model.layers[2] holds both \"relu\" and \"gelu\", expected one of "
            "them");
}

TEST(JobFileTest, ReadsEveryKindOfField) {
  const v1::JobSpec spec = Spec(
      "name: digits-lamb\n"
      "model: {mlp: {hidden: [512, 1Ki]}}\n"
      "dataset: {idx: {path: data/mnist}}\n"
      "batch: 32Ki\n"
      "seed: 18446744073709551615\n"
      "optimizer: {lamb: {weight_decay: 1e-2, grad_averaging: false, no_decay: [bias, gamma],\n"
      "                   bias_correction: in_lr}}\n"
      "schedule: {peak: .02, warmup_steps: 20, start_warmup_step: -5, decay: polynomial}\n"
      "deadline: 90s\n"
      "labels: {team: vision, 'a.b': \"1\"}\n");

  EXPECT_EQ(spec.name(), "digits-lamb");
  EXPECT_THAT(spec.model().mlp().hidden(), ElementsAre(512, 1024));
  EXPECT_EQ(spec.dataset().idx().path(), "data/mnist");
  EXPECT_EQ(spec.batch(), 32768);
  EXPECT_EQ(spec.seed(), UINT64_MAX);
  EXPECT_EQ(spec.optimizer().lamb().weight_decay(), 0.01);
  EXPECT_TRUE(spec.optimizer().lamb().has_grad_averaging());
  EXPECT_FALSE(spec.optimizer().lamb().grad_averaging());
  EXPECT_THAT(spec.optimizer().lamb().no_decay(), ElementsAre("bias", "gamma"));
  EXPECT_EQ(spec.optimizer().lamb().bias_correction(), v1::Lamb::BIAS_CORRECTION_IN_LR);
  EXPECT_EQ(spec.schedule().peak(), 0.02);
  EXPECT_EQ(spec.schedule().start_warmup_step(), -5);
  EXPECT_EQ(spec.schedule().decay(), v1::ScheduleSpec::DECAY_POLYNOMIAL);
  EXPECT_EQ(spec.deadline().seconds(), 90);
  EXPECT_THAT(spec.labels(), UnorderedElementsAre(Pair("team", "vision"), Pair("a.b", "1")));
  EXPECT_FALSE(spec.has_leaves());
}

TEST(JobFileTest, TheTypeOfTheFieldDecidesHowTextIsRead) {
  const v1::JobSpec spec = Spec("name: 010\nsteps: 010\nlabels: {a: no, b: 1e3, c: 2024-01-01}\n");

  EXPECT_EQ(spec.name(), "010");
  EXPECT_EQ(spec.steps(), 10);
  EXPECT_EQ(spec.labels().at("a"), "no");
  EXPECT_EQ(spec.labels().at("b"), "1e3");
  EXPECT_EQ(spec.labels().at("c"), "2024-01-01");
}

TEST(JobFileTest, ANameAloneChoosesAnEmptyGroup) {
  const v1::JobSpec spec = Spec("optimizer: lamb\ndataset: synthetic_digits\n");

  EXPECT_TRUE(spec.optimizer().has_lamb());
  EXPECT_TRUE(spec.dataset().has_synthetic_digits());
  EXPECT_EQ(Errors("optimizer: lamp\n"),
            "digits.yaml:1:12: optimizer: \"lamp\"; did you mean \"lamb\"?");
  EXPECT_EQ(Errors("optimizer: lookahead\n"), "digits.yaml:1:12: optimizer: \"lookahead\"");
}

TEST(JobFileTest, WhatStandsBesideAChoiceIsReadWithIt) {
  const v1::JobSpec spec = Spec("optimizer: {adam: {beta1: 0.5}, lookahead: {k: 7}}\n");

  EXPECT_EQ(spec.optimizer().adam().beta1(), 0.5);
  EXPECT_EQ(spec.optimizer().lookahead().k(), 7);
}

TEST(JobFileTest, AnEmptyFileIsAnEmptySpec) {
  EXPECT_EQ(Spec("").ByteSizeLong(), 0U);
  EXPECT_EQ(Spec("# nothing\n").ByteSizeLong(), 0U);
}

TEST(JobFileTest, SuggestsTheFieldThatWasMeant) {
  EXPECT_EQ(Errors("name: a\n\n  \nbacth: 5\n"),
            "digits.yaml:4:1: unknown field \"bacth\"; did you mean \"batch\"?");
  EXPECT_EQ(Errors("optimizer:\n  lamb:\n    weight_deacy: 0.1\n"),
            "digits.yaml:3:5: unknown field \"weight_deacy\" in optimizer.lamb; did you mean "
            "\"weight_decay\"?");
  EXPECT_EQ(Errors("checkpoint: {interval: 3}\n"),
            "digits.yaml:1:14: unknown field \"interval\" in checkpoint; expected one of "
            "every_steps, keep");
}

TEST(JobFileTest, ReportsAllErrorsOfTheFileAndOfTheFlags) {
  EXPECT_EQ(Errors("bacth: 5\nsteps: many\n", {"leafs=3"}),
            "digits.yaml:1:1: unknown field \"bacth\"; did you mean \"batch\"?\n"
            "digits.yaml:2:8: steps: \"many\": expected an integer such as 32768 or 32Ki\n"
            "--set leafs=3: unknown field \"leafs\"; did you mean \"leaves\"?");
}

TEST(JobFileTest, StopsAfterTwentyErrors) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "unknown_field_" + std::to_string(i) + ": 1\n";

  const std::string errors = Errors(text);

  EXPECT_THAT(errors, HasSubstr("digits.yaml:20:1: "));
  EXPECT_THAT(errors, HasSubstr("\n... and 5 more"));
  EXPECT_THAT(errors, Not(HasSubstr("digits.yaml:21:1: ")));
}

struct BadFile {
  const char* what;
  const char* text;
  const char* error;
};

class BadJobFileTest : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadJobFileTest, IsRefusedWithItsPlace) {
  EXPECT_EQ(Errors(GetParam().text), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadJobFileTest,
    ::testing::Values(
        BadFile{"DuplicateField", "steps: 1\nsteps: 2\n",
                "digits.yaml:2:1: duplicate field \"steps\""},
        BadFile{"DecimalSuffix", "batch: 32k\n",
                "digits.yaml:1:8: batch: \"32k\": expected an integer such as 32768 or 32Ki: "
                "32,000 or 32,768 (32Ki)?"},
        BadFile{"Overflow", "batch: 9223372036854775808\n",
                "digits.yaml:1:8: batch: \"9223372036854775808\": expected an integer such as "
                "32768 or 32Ki that fits in 64 bits"},
        BadFile{"NegativeSeed", "seed: -1\n",
                "digits.yaml:1:7: seed: -1, expected a whole number that is not negative"},
        BadFile{"FractionForInteger", "steps: 1.5\n",
                "digits.yaml:1:8: steps: \"1.5\": expected an integer such as 32768 or 32Ki"},
        BadFile{"QuotedNumber", "steps: \"1\"\n",
                "digits.yaml:1:8: steps: the text \"1\", expected a whole number such as 32768 or "
                "32Ki"},
        BadFile{"YesForTrue", "numerics: {mixed: yes}\n",
                "digits.yaml:1:19: numerics.mixed: \"yes\", expected true or false; did you mean "
                "true?"},
        BadFile{"ListForScalar", "steps: [1]\n",
                "digits.yaml:1:8: steps: a list, expected a whole number such as 32768 or 32Ki"},
        BadFile{"ScalarForList", "model: {mlp: {hidden: 5}}\n",
                "digits.yaml:1:23: model.mlp.hidden: \"5\", expected a list such as [512, 512]"},
        BadFile{"ScalarForGroup", "checkpoint: 5\n",
                "digits.yaml:1:13: checkpoint: \"5\", expected a group of fields"},
        BadFile{"NoValue", "steps:\n",
                "digits.yaml:1:1: steps: no value, expected a whole number such as 32768 or 32Ki"},
        BadFile{"NoGroup", "optimizer:\n  lamb:\n",
                "digits.yaml:2:3: optimizer.lamb: no value, expected a group of fields; write {} "
                "for defaults"},
        BadFile{"UnknownEnum", "schedule: {decay: polynomal}\n",
                "digits.yaml:1:19: schedule.decay: \"polynomal\"; did you mean \"polynomial\"?"},
        BadFile{"EnumInCapitals", "schedule: {decay: DECAY_CONSTANT}\n",
                "digits.yaml:1:19: schedule.decay: \"DECAY_CONSTANT\"; expected one of constant, "
                "polynomial, linear, cosine, step, exponential, inverse_time, inverse_sqrt, "
                "plateau"},
        BadFile{"UnspecifiedEnum", "on_nonfinite: unspecified\n",
                "digits.yaml:1:15: on_nonfinite: \"unspecified\"; expected one of skip, fail"},
        BadFile{"DurationWithoutUnit", "deadline: 90\n",
                "digits.yaml:1:11: deadline: \"90\": expected a time such as 250ms, 90s, 10m or "
                "2h: 90s or 90ms?"},
        BadFile{"NanLearningRate", "schedule: {peak: .nan}\n",
                "digits.yaml:1:18: schedule.peak: \".nan\": expected a finite number such as 0.1 "
                "or 1e-3"},
        BadFile{"TwoOptimizers", "optimizer:\n  lamb: {}\n  adamw: {}\n",
                "digits.yaml:3:3: optimizer holds both \"lamb\" and \"adamw\", expected one of "
                "them"},
        BadFile{"MapInLabels", "labels: {a: {b: c}}\n",
                "digits.yaml:1:13: labels.a: a group of fields, expected text"},
        BadFile{"Anchor", "name: &x a\n",
                "digits.yaml:1:7: an anchor (&name) is not allowed in a "
                "job file"},
        BadFile{"Tag", "steps: !!int 5\n",
                "digits.yaml:1:8: the tag \"tag:yaml.org,2002:int\" is not allowed in a job file"},
        BadFile{"MergeKey", "<<: {steps: 1}\n",
                "digits.yaml:1:1: a merge key (<<) is not allowed in a job file"},
        BadFile{"ListAsKey", "[a]: 1\n",
                "digits.yaml:1:1: a list as a key, expected the name of a field"},
        BadFile{"TwoDocuments", "name: a\n---\nname: b\n",
                "digits.yaml:3:1: a second document, expected one job per file"},
        BadFile{"ListAtTheTop", "- a\n",
                "digits.yaml:1:1: a list, expected a group of fields such as `batch: 32Ki`"},
        BadFile{"BadUtf8", "name: \xff\n", "digits.yaml: bytes that are not UTF-8"}),
    [](const auto& test) { return test.param.what; });

TEST(JobFileTest, RefusesAnAliasAndBrokenYaml) {
  EXPECT_THAT(Errors("name: &x a\nlabels: {b: *x}\n"),
              HasSubstr("an alias (*name) is not allowed"));
  EXPECT_THAT(Errors("a: [1, 2\n"), HasSubstr("not YAML: "));
  EXPECT_THAT(Errors("a: b: c\n"), HasSubstr("digits.yaml:1:5: not YAML: "));
  EXPECT_THAT(Errors(std::string("name: a\0b\n", 10)), HasSubstr("a zero byte"));
}

TEST(JobFileTest, RefusesWhatIsTooLargeOrTooDeep) {
  EXPECT_THAT(Errors(std::string(2 << 20, '#')), HasSubstr("expected at most 1048576"));
  EXPECT_THAT(Errors("a: " + std::string(40, '[') + std::string(40, ']')),
              HasSubstr("more than 32 levels of nesting"));
  EXPECT_THAT(Errors("a: " + std::string(500'000, '[')), HasSubstr("digits.yaml"));
  std::string wide = "model: {mlp: {hidden: [1";
  for (int i = 0; i < 20'000; ++i) wide += ",1";
  EXPECT_THAT(Errors(wide + "]}}\n"), HasSubstr("more than 10000 values"));
}

TEST(JobFileTest, AFlagWinsOverTheFile) {
  const std::string text =
      "steps: 5\nmodel: {mlp: {hidden: [1]}}\ndataset: synthetic_digits\nlabels: {a: b}\n";

  const v1::JobSpec spec =
      Spec(text, {"steps=100", "steps=7", "model.mlp.hidden=[256, 128]", "dataset.idx.path=/d/x=y",
                  "optimizer=lamb", "optimizer.lamb.beta1=0.8", "labels.team.b=c: d"});

  EXPECT_EQ(spec.steps(), 7);
  EXPECT_THAT(spec.model().mlp().hidden(), ElementsAre(256, 128));
  EXPECT_FALSE(spec.dataset().has_synthetic_digits());
  EXPECT_EQ(spec.dataset().idx().path(), "/d/x=y");
  EXPECT_EQ(spec.optimizer().lamb().beta1(), 0.8);
  EXPECT_THAT(spec.labels(), UnorderedElementsAre(Pair("a", "b"), Pair("team.b", "c: d")));
}

TEST(JobFileTest, ErrorsOfAFlagNameTheFlag) {
  EXPECT_EQ(Errors("", {"steps"}), "--set steps: expected FIELD=VALUE, such as steps=100");
  EXPECT_EQ(Errors("", {"=3"}), "--set =3: expected FIELD=VALUE, such as steps=100");
  EXPECT_EQ(Errors("", {"batch=32k"}),
            "--set batch=32k: batch: \"32k\": expected an integer such as 32768 or 32Ki: 32,000 or "
            "32,768 (32Ki)?");
  EXPECT_EQ(Errors("", {"steps="}),
            "--set steps=: steps: no value, expected a whole number such as 32768 or 32Ki");
  EXPECT_EQ(Errors("", {"optimizer.lamb.beta3=1"}),
            "--set optimizer.lamb.beta3=1: unknown field \"beta3\" in optimizer.lamb; did you mean "
            "\"beta1\"?");
  EXPECT_EQ(Errors("", {"steps.a=1"}),
            "--set steps.a=1: steps: a group of fields, expected a whole number such as 32768 or "
            "32Ki");
  EXPECT_THAT(Errors("", {"model.mlp.hidden=[1"}),
              HasSubstr("--set model.mlp.hidden=[1: not YAML: "));
}

TEST(JobFileTest, FindsTheLineOfAProblemThatOthersReport) {
  const Result<JobFile> file =
      Parse("name: a\noptimizer:\n  lamb:\n    beta1: 2\n", {"steps=0", "labels.k=v"});
  ASSERT_TRUE(file.ok());

  EXPECT_EQ(LocateProblem(file.value(), "optimizer.lamb.beta1: is 2"),
            "digits.yaml:4:5: optimizer.lamb.beta1: is 2");
  EXPECT_EQ(LocateProblem(file.value(), "optimizer.lamb.beta2: is 2"),
            "digits.yaml:3:3: optimizer.lamb.beta2: is 2");
  EXPECT_EQ(LocateProblem(file.value(), "steps: is 0"), "--set steps=0: steps: is 0");
  EXPECT_EQ(LocateProblems(file.value(), "batch: is missing\nlabels.k: bad"),
            "digits.yaml: batch: is missing\n--set labels.k=v: labels.k: bad");
}

TEST(JobFileTest, AMissingFileIsNotFound) {
  const Result<JobFile> file = ReadJobFile("/nonexistent/job.yaml");

  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::kNotFound);
  EXPECT_THAT(file.status().message(), HasSubstr("/nonexistent/job.yaml"));
}

TEST(JobFileTest, AListOfGroupsKeepsItsOrderAndItsPlaces) {
  const Result<JobFile> file = ParseJobFile("phases.yaml",
                                            "phases:\n"
                                            "- {steps: 5, schedule: {decay: cosine}}\n"
                                            "- steps: 7\n"
                                            "  batch: 4Ki\n",
                                            {});

  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file.value().spec.phases_size(), 2);
  EXPECT_EQ(file.value().spec.phases(0).schedule().decay(), v1::ScheduleSpec::DECAY_COSINE);
  EXPECT_EQ(file.value().spec.phases(1).batch(), 4096);
  EXPECT_EQ(LocateProblem(file.value(), "phases[1].batch: is odd"),
            "phases.yaml:4:3: phases[1].batch: is odd");
  EXPECT_EQ(LocateProblem(file.value(), "phases[0].batch: is missing"),
            "phases.yaml:2:3: phases[0].batch: is missing");
}

TEST(JobFileTest, AListOfGroupsIsReplacedWholeAndCheckedOneByOne) {
  const std::vector<std::string> overrides = {"phases=[{steps: 9}]"};
  const Result<JobFile> file =
      ParseJobFile("a.yaml", "phases: [{steps: 5}, {steps: 7}]", overrides);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file.value().spec.phases_size(), 1);
  EXPECT_EQ(file.value().spec.phases(0).steps(), 9);

  EXPECT_EQ(ParseJobFile("a.yaml", "phases: {steps: 5}", {}).status().message(),
            "a.yaml:1:9: phases: a group of fields, expected a list such as [{...}, {...}]");
  EXPECT_EQ(ParseJobFile("a.yaml", "phases: [{step: 5}]", {}).status().message(),
            "a.yaml:1:11: unknown field \"step\" in phases[0]; did you mean \"steps\"?");
}

}  // namespace
}  // namespace drover
