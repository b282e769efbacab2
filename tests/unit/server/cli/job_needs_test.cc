#include "server/cli/job_needs.h"

#include <gtest/gtest.h>

#include "server/spec.h"

namespace drover {
namespace {

v1::JobSpec Digits() {
  v1::JobSpec spec;
  spec.set_name("needs");
  spec.mutable_model()->mutable_mlp()->add_hidden(256);
  spec.mutable_dataset()->mutable_synthetic_digits();
  spec.set_batch(32768);
  spec.set_micro_batch(512);
  spec.set_steps(10);
  spec.mutable_optimizer()->mutable_lamb()->set_weight_decay(0.01);
  spec.mutable_schedule()->set_peak(0.02);
  return spec;
}

TEST(JobNeedsTest, CountsAnMlpByHand) {
  // 784 x 256 + 256 + 256 x 10 + 10
  EXPECT_EQ(SizeOf(Digits(), 0).parameters, 203530);
}

TEST(JobNeedsTest, CountsBertBaseAsPyTorchDoes) {
  // transformers 4.30: sum(p.numel() for p in BertForPreTraining(BertConfig()).parameters()) is
  // 110,106,428 (the decoder's matrix is that of the embedding, its bias counted once).
  v1::JobSpec spec;
  v1::Bert* const bert = spec.mutable_model()->mutable_bert();
  bert->set_layers(12);
  bert->set_hidden(768);
  bert->set_heads(12);
  bert->set_intermediate(3072);
  bert->set_positions(512);
  bert->set_vocabulary_multiple(1);
  EXPECT_EQ(SizeOf(spec, 30522).parameters, 110106428);
}

TEST(JobNeedsTest, TextWithoutAVocabularyIsNotGuessed) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_bert()->set_hidden(768);
  EXPECT_EQ(SizeOf(spec, 0).parameters, 0);
}

TEST(JobNeedsTest, BytesPerParameterAreThoseOfTheCapacityTable) {
  const Result<JobPlan> plan = PlanJob(Digits());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const JobNeeds needs = NeedsOf(WithDefaults(Digits(), plan.value()), plan.value(), 0, 2);
  EXPECT_EQ(needs.shard_bytes_per_parameter, 24);  // LAMB.
  EXPECT_EQ(needs.worker_bytes_per_parameter, 16);
  EXPECT_EQ(needs.micro_batch, 512);
  EXPECT_EQ(needs.leaf_samples, 1024);
  EXPECT_EQ(needs.lanes, 2);
}

}  // namespace
}  // namespace drover
