// What is refused of a spec, field by field.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "server/spec.h"
#include "tests/unit/server/smallest_spec.h"

namespace drover {
namespace {

struct BadSpec {
  const char* what;
  std::function<void(v1::JobSpec*)> change;
  const char* violation;
};

class BadSpecTest : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadSpecTest, IsRefusedByTheNameOfTheField) {
  EXPECT_EQ(ViolationsAfter(GetParam().change), GetParam().violation);
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Cases 42 to 64 of the catalogue of bad inputs, as far as they are about the spec.
INSTANTIATE_TEST_SUITE_P(
    All, BadSpecTest,
    ::testing::Values(
        BadSpec{"NegativeBatch", [](v1::JobSpec* s) { s->set_batch(-1); },
                "batch: is -1, expected 1 to 16777216"},
        BadSpec{"LargestBatch", [](v1::JobSpec* s) { s->set_batch(INT64_MAX); },
                "batch: is 9223372036854775807, expected 1 to 16777216"},
        BadSpec{"BatchAndLeaves",
                [](v1::JobSpec* s) {
                  s->set_batch(1000);
                  s->set_leaves(32);
                },
                "batch: is 1000, not a multiple of leaves (32)"},
        BadSpec{"LeafAndMicroBatch",
                [](v1::JobSpec* s) {
                  s->set_batch(32 * 384);
                  s->set_leaves(32);
                  s->set_micro_batch(256);
                },
                "micro_batch: is 256, and a leaf of 384 samples is not a multiple of it; 192 "
                "fits"},
        BadSpec{"MicroBatchThatDoesNotDivide",
                [](v1::JobSpec* s) {
                  s->set_batch(10);
                  s->set_micro_batch(4);
                },
                "micro_batch: is 4, and a leaf of 5 samples is not a multiple of it; 1 fits"},
        BadSpec{"MicroBatchLargerThanLeaf", [](v1::JobSpec* s) {
                  s->set_leaves(32);
                  s->set_micro_batch(2048);
                },
                "micro_batch: is 2048, and a leaf of 1024 samples is not a multiple of it; 1024 "
                "fits"},
        BadSpec{"NoLeaves", [](v1::JobSpec* s) { s->set_leaves(0); },
                "leaves: is 0, expected 1 to 4096"},
        BadSpec{"TooManyLeaves", [](v1::JobSpec* s) { s->set_leaves(4097); },
                "leaves: is 4097, expected 1 to 4096"},
        BadSpec{"MicroBatchZero", [](v1::JobSpec* s) { s->set_micro_batch(0); },
                "micro_batch: is 0, expected 1 to 65536"},
        BadSpec{"ManySteps", [](v1::JobSpec* s) { s->set_steps(int64_t{1} << 62); },
                "steps: is 4611686018427387904, expected 1 to 2147483648"},
        BadSpec{"NegativeSteps", [](v1::JobSpec* s) { s->set_steps(-5); },
                "steps: is -5, expected 1 to 2147483648"},
        BadSpec{"NanPeak", [](v1::JobSpec* s) { s->mutable_schedule()->set_peak(kNan); },
                "schedule.peak: is nan, expected a learning rate from 0 (not included) to 1e6"},
        BadSpec{"InfinitePeak", [](v1::JobSpec* s) { s->mutable_schedule()->set_peak(kInfinity); },
                "schedule.peak: is inf, expected a learning rate from 0 (not included) to 1e6"},
        BadSpec{"NegativePeak", [](v1::JobSpec* s) { s->mutable_schedule()->set_peak(-1); },
                "schedule.peak: is -1, expected a learning rate from 0 (not included) to 1e6"},
        BadSpec{"BetaOne",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_adam()->set_beta1(1); },
                "optimizer.adam.beta1: is 1, expected 0 <= beta1 < 1"},
        BadSpec{"BetaNan",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_lamb()->set_beta2(kNan); },
                "optimizer.lamb.beta2: is nan, expected 0 <= beta2 < 1"},
        BadSpec{"EpsZero",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_adamw()->set_eps(0); },
                "optimizer.adamw.eps: is 0, expected 1e-30 <= eps <= 1"},
        BadSpec{"InfiniteDecay",
                [](v1::JobSpec* s) {
                  s->mutable_optimizer()->mutable_sgd()->set_weight_decay(kInfinity);
                },
                "optimizer.sgd.weight_decay: is inf, expected 0 <= weight_decay <= 1e30"},
        BadSpec{"NegativeMomentum",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_momentum()->set_momentum(-1); },
                "optimizer.momentum.momentum: is -1, expected 0 <= momentum < 1"},
        BadSpec{"LimitsInTheWrongOrder",
                [](v1::JobSpec* s) {
                  s->mutable_optimizer()->mutable_lamb()->set_phi_min(2);
                  s->mutable_optimizer()->mutable_lamb()->set_phi_max(1);
                },
                "optimizer.lamb: optimizer phi_max is 1, expected > 0 and >= phi_min, or infinity "
                "for no limit"},
        BadSpec{"Preset",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_lamb()->set_preset("x\n"); },
                "optimizer.lamb.preset: is \"x\\x0a\", expected one of tfa, apex, nvlamb, "
                "nvlamb_picture, paper_v3, ymcui, cybertron, deepspeed, lambc"},
        BadSpec{"EmptyExclusion",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_lamb()->add_no_decay(""); },
                "optimizer.lamb.no_decay: holds \"\", expected parts of tensor names such as "
                "\"bias\""},
        BadSpec{"WarmupTooLong",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_warmup_steps(100); },
                "schedule.warmup_steps: is 100: the warm-up would end at step 100, expected before "
                "the last of 100 steps"},
        BadSpec{"WarmupOverflow",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_warmup_steps(INT64_MAX);
                  s->mutable_schedule()->set_start_warmup_step(INT64_MIN);
                },
                "schedule.start_warmup_step: is -9223372036854775808, expected -2147483648 to 0\n"
                "schedule.warmup_steps: is 9223372036854775807, expected 0 to 4294967296"},
        BadSpec{"PowerOfNothing", [](v1::JobSpec* s) { s->mutable_schedule()->set_power(2); },
                "schedule.power: needs schedule.decay: polynomial"},
        BadSpec{"FractionBesideSteps",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_warmup_steps(1);
                  s->mutable_schedule()->set_warmup_fraction(0.1);
                },
                "schedule.warmup_fraction: stands beside schedule.warmup_steps, expected one of "
                "them"},
        BadSpec{"FractionOfEverything",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_warmup_fraction(1); },
                "schedule.warmup_fraction: is 1, expected a share of the steps, 0 <= "
                "warmup_fraction < 1"},
        BadSpec{"StepWithoutPeriod",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_STEP);
                },
                "schedule.every_steps: is missing: the period of the decay, or "
                "schedule.every_passes"},
        BadSpec{"TwoPeriods",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_EXPONENTIAL);
                  s->mutable_schedule()->set_every_steps(1);
                  s->mutable_schedule()->set_every_passes(1);
                },
                "schedule.every_passes: stands beside schedule.every_steps, expected one of them"},
        BadSpec{"PeriodAndFactorOfNothing",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_factor(0.5);
                  s->mutable_schedule()->set_every_steps(1);
                },
                "schedule.factor: needs schedule.decay: step, exponential or plateau\n"
                "schedule.every_steps: needs schedule.decay: step, exponential, inverse_time or "
                "inverse_sqrt"},
        BadSpec{"FactorAboveOne",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_STEP);
                  s->mutable_schedule()->set_every_passes(2'000'000);
                  s->mutable_schedule()->set_factor(2);
                },
                "schedule.factor: is 2, expected 0 < factor <= 1\n"
                "schedule.every_passes: is 2000000, expected 0 to 1000000"},
        BadSpec{"PatienceOfNothing",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_patience(1); },
                "schedule.patience: needs schedule.decay: plateau"},
        BadSpec{"PlateauWithoutEvaluations",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_PLATEAU);
                  s->mutable_schedule()->set_patience(-1);
                  s->mutable_schedule()->set_min_improvement(1);
                },
                "schedule.patience: is -1, expected 0 to 1000000\n"
                "schedule.min_improvement: is 1, expected a share of the loss, 0 <= "
                "min_improvement < 1\n"
                "evaluation.every_steps: is missing: schedule.decay is plateau, which looks at "
                "evaluations"},
        BadSpec{"EndOfNothing", [](v1::JobSpec* s) { s->mutable_schedule()->set_end(0.1); },
                "schedule.end: needs another schedule.decay than constant"},
        BadSpec{"ScalingWithoutBase",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_lr_scaling(v1::ScheduleSpec::LR_SCALING_LINEAR);
                },
                "schedule.base_batch: is missing: the batch for which schedule.peak is meant"},
        BadSpec{"BaseWithoutScaling",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_base_batch(256); },
                "schedule.base_batch: needs schedule.lr_scaling: sqrt or linear"},
        BadSpec{"NoHeadroom", [](v1::JobSpec* s) { s->mutable_numerics()->set_fraction_bits(34); },
                "numerics.fraction_bits: is 34, expected 8 to 33 for batch 32768"},
        BadSpec{"NameWithNewline", [](v1::JobSpec* s) { s->set_name("a\nb"); },
                "name: is \"a\\x0ab\", expected [A-Za-z0-9_-]{1,63}"},
        BadSpec{"NameWithNul", [](v1::JobSpec* s) { s->set_name(std::string("a\0", 2)); },
                "name: is \"a\\x00\", expected [A-Za-z0-9_-]{1,63}"},
        BadSpec{"NameOfAFile", [](v1::JobSpec* s) { s->set_name("../a"); },
                "name: is \"../a\", expected [A-Za-z0-9_-]{1,63}"},
        BadSpec{"WideLayer",
                [](v1::JobSpec* s) { s->mutable_model()->mutable_mlp()->add_hidden(INT64_MAX); },
                "model.mlp.hidden: is 9223372036854775807, expected 1 to 65536"},
        BadSpec{"TooManyParameters",
                [](v1::JobSpec* s) {
                  for (int i = 0; i < 3; ++i) s->mutable_model()->mutable_mlp()->add_hidden(65536);
                },
                "model.mlp.hidden: makes more than 8590458888 parameters, expected at most "
                "2147483648"},
        BadSpec{"ManyLayers",
                [](v1::JobSpec* s) {
                  for (int i = 0; i < 64; ++i) s->mutable_model()->mutable_mlp()->add_hidden(1);
                },
                "model.mlp.hidden: has 65 layers, expected at most 64"},
        BadSpec{"NoPath", [](v1::JobSpec* s) { s->mutable_dataset()->mutable_idx(); },
                "dataset.idx.path: is missing: the folder with the four IDX files, named as "
                "MNIST's"},
        BadSpec{"PathWithNewline",
                [](v1::JobSpec* s) { s->mutable_dataset()->mutable_idx()->set_path("/a\n"); },
                "dataset.idx.path: is \"/a\\x0a\", expected the path of a folder"},
        BadSpec{"StdZero",
                [](v1::JobSpec* s) {
                  s->mutable_dataset()->mutable_idx()->set_path("/a");
                  s->mutable_dataset()->mutable_idx()->set_std(0.0);
                },
                "dataset.idx.std: is 0, expected 0.001 to 1000"},
        BadSpec{"MeanNotANumber",
                [](v1::JobSpec* s) {
                  s->mutable_dataset()->mutable_idx()->set_path("/a");
                  s->mutable_dataset()->mutable_idx()->set_mean(std::nan(""));
                },
                "dataset.idx.mean: is nan, expected -1000 to 1000"},
        BadSpec{"TextForAnMlp",
                [](v1::JobSpec* s) { s->mutable_dataset()->mutable_text()->set_path("/a"); },
                "dataset.text: gives tokens, and this model reads images; expected idx or "
                "synthetic_digits"},
        BadSpec{"BertWithoutSize",
                [](v1::JobSpec* s) { s->mutable_model()->mutable_bert()->set_layers(2); },
                "model.bert.size: is missing, expected one of tiny, mini, base, large"},
        BadSpec{"BertOfImages",
                [](v1::JobSpec* s) {
                  s->mutable_model()->mutable_bert()->set_size(v1::Bert::SIZE_TINY);
                },
                "dataset: gives images, and a bert reads text; expected text"},
        BadSpec{"BertOutOfBounds",
                [](v1::JobSpec* s) {
                  s->mutable_dataset()->mutable_text()->set_path("/a");
                  s->mutable_dataset()->mutable_text()->set_sequence_length(128);
                  v1::Bert* const bert = s->mutable_model()->mutable_bert();
                  bert->set_size(v1::Bert::SIZE_TINY);
                  bert->set_layers(129);
                  bert->set_heads(3);
                  bert->set_intermediate(-1);
                  bert->set_positions(100);
                  bert->set_vocabulary_multiple(-8);
                  bert->set_dropout(1);
                },
                "model.bert.layers: is 129, expected 1 to 128\n"
                "model.bert.heads: is 3, expected a divisor of hidden (128)\n"
                "model.bert.intermediate: is -1, expected 1 to 65536\n"
                "model.bert.vocabulary_multiple: is -8, expected 1 to 1024\n"
                "model.bert.dropout: is 1, expected 0 to below 1\n"
                "model.bert.positions: is 100, expected at least dataset.text.sequence_length "
                "(128)"},
        BadSpec{"NoTextPath",
                [](v1::JobSpec* s) {
                  s->clear_model();
                  s->mutable_dataset()->mutable_text()->set_sequence_length(7);
                },
                "model: is missing, expected one of mlp, cnn, bi_rnn, bi_gru, bi_lstm, bert, layers\n"
                "dataset.text.path: is missing: the folder with train.tokens and test.tokens; make "
                "it with drover data tokenize\n"
                "dataset.text.sequence_length: is 7, expected 8 to 4096"},
        BadSpec{"TextPathWithNewline",
                [](v1::JobSpec* s) {
                  s->clear_model();
                  s->mutable_dataset()->mutable_text()->set_path("/a\n");
                  s->mutable_dataset()->mutable_text()->set_sequence_length(4097);
                },
                "model: is missing, expected one of mlp, cnn, bi_rnn, bi_gru, bi_lstm, bert, layers\n"
                "dataset.text.path: is \"/a\\x0a\", expected the path of a folder\n"
                "dataset.text.sequence_length: is 4097, expected 8 to 4096"},
        BadSpec{"KeepOne", [](v1::JobSpec* s) { s->mutable_checkpoint()->set_keep(1); },
                "checkpoint.keep: is 1, expected 2 to 10000"},
        BadSpec{"TargetWithoutMetric",
                [](v1::JobSpec* s) { s->mutable_target()->set_at_least(1.5); },
                "target.metric: is missing, expected accuracy\n"
                "target.at_least: is 1.5, expected a share of the samples, 0 < at_least <= 1"},
        BadSpec{"NoTimeAtAll", [](v1::JobSpec* s) { s->mutable_deadline(); },
                "deadline: is 0s, expected 1ms to 315360000s"},
        BadSpec{"DeadlineOverflow",
                [](v1::JobSpec* s) { s->mutable_deadline()->set_seconds(INT64_MAX); },
                "deadline: is 9223372036854775807s, expected 1ms to 315360000s"},
        BadSpec{"NegativeTimeToLive",
                [](v1::JobSpec* s) { s->mutable_ttl_after_end()->set_seconds(-1); },
                "ttl_after_end: is -1s, expected 1ms to 315360000s"},
        BadSpec{"NoWorkers", [](v1::JobSpec* s) { s->set_max_workers(0); },
                "max_workers: is 0, expected 1 to 1024"},
        BadSpec{"TooManyWorkers", [](v1::JobSpec* s) { s->set_min_workers(1025); },
                "min_workers: is 1025, expected 1 to 1024"},
        BadSpec{"MoreWorkersThanItMayHave",
                [](v1::JobSpec* s) {
                  s->set_min_workers(3);
                  s->set_max_workers(2);
                },
                "min_workers: is 3, but max_workers is 2"},
        BadSpec{"LabelKey", [](v1::JobSpec* s) { (*s->mutable_labels())["a b"] = "c"; },
                "labels: has the key \"a b\", expected [A-Za-z0-9_./-]{1,63}"},
        BadSpec{"LabelValue", [](v1::JobSpec* s) { (*s->mutable_labels())["a"] = "c\x1b"; },
                "labels.a: is \"c\\x1b\", expected at most 255 printable bytes"},
        BadSpec{"UnknownEnum",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(static_cast<v1::ScheduleSpec::Decay>(99));
                },
                "schedule.decay: is number 99, which this version does not know"}),
    [](const auto& test) { return test.param.what; });

}  // namespace
}  // namespace drover
