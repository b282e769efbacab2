#include "server/shard/shard_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ShardMetricsTest : public testing::Test {
 protected:
  ShardMetricsTest() { metrics_.SetJob(7, /*shard_index=*/2, /*parameters=*/100); }

  static FrameHeader Gradient(FrameEncoding encoding, LeafRange leaves) {
    FrameHeader header;
    header.type = FrameType::kGradient;
    header.encoding = encoding;
    header.payload_bytes = 800;
    header.leaf_begin = leaves.begin;
    header.leaf_end = leaves.end;
    return header;
  }

  MetricRegistry registry_{MetricRole::kShard};
  ShardMetrics metrics_{&registry_};
};

TEST_F(ShardMetricsTest, ChunksAreCountedByWhatBecameOfThem) {
  const auto count = [&](Verdict verdict) {
    metrics_.CountGradient(Gradient(FrameEncoding::kF32, {0, 1}), verdict, Duration(1));
  };
  count(Verdict::kStored);
  count(Verdict::kAdded);
  count(Verdict::kAdded);
  count(Verdict::kDuplicate);
  count(Verdict::kEpoch);
  metrics_.CountMalformed(Code::kDataLoss);
  metrics_.CountAudit(/*equal=*/true);
  metrics_.CountAudit(/*equal=*/true);
  metrics_.CountAudit(/*equal=*/false);

  const std::string text = registry_.Render();
  const std::string labels = R"(shard="2",train_job="0000000000000007"})";
  EXPECT_THAT(text, HasSubstr(R"(drover_chunks_total{kind="first",)" + labels + " 1\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_chunks_total{kind="add",)" + labels + " 2\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_leaf_audits_total{result="equal",)" + labels + " 2\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_leaf_audits_total{result="different",)" + labels + " 1\n"));
  EXPECT_THAT(text, HasSubstr("drover_duplicate_chunks_total{" + labels + " 1\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_refused_chunks_total{reason="epoch",)" + labels + " 1\n"));
  EXPECT_THAT(text,
              HasSubstr(R"(drover_refused_chunks_total{reason="checksum",)" + labels + " 1\n"));
  EXPECT_THAT(text, HasSubstr("drover_shard_accumulate_duration_seconds_count{" + labels + " 3\n"));
  EXPECT_THAT(text, HasSubstr("drover_shard_parameters{" + labels + " 100\n"));
}

TEST_F(ShardMetricsTest, ChunksThatWaitAreSeenWhileTheyDo) {
  const std::string labels = R"({shard="2",train_job="0000000000000007"})";
  {
    const auto one = metrics_.ChunkArrives(Gradient(FrameEncoding::kF32, {0, 1}));
    const auto two = metrics_.ChunkArrives(Gradient(FrameEncoding::kF32, {1, 2}));
    const std::string text = registry_.Render();
    EXPECT_THAT(text, HasSubstr("drover_shard_pending_chunks" + labels + " 2\n"));
    EXPECT_THAT(text, HasSubstr("drover_shard_pending_bytes" + labels + " 1600\n"));
  }

  EXPECT_THAT(registry_.Render(), HasSubstr("drover_shard_pending_chunks" + labels + " 0\n"));
}

TEST_F(ShardMetricsTest, FillRatioFollowsTheLeavesOfTheOpenStep) {
  const std::string name = R"(drover_shard_fill_ratio{shard="2",train_job="0000000000000007"} )";
  metrics_.OpenStep(/*leaf_chunks=*/8);
  metrics_.CountGradient(Gradient(FrameEncoding::kI64, {0, 4}), Verdict::kStored, Duration(1));
  EXPECT_THAT(registry_.Render(), HasSubstr(name + "0.5\n"));

  metrics_.OpenStep(8);
  EXPECT_THAT(registry_.Render(), HasSubstr(name + "0\n"));
  metrics_.OpenStep(0);
  EXPECT_THAT(registry_.Render(), HasSubstr(name + "1\n"));
}

TEST_F(ShardMetricsTest, PayloadCountsFourBytesPerElementWhateverTheEncoding) {
  metrics_.CountGradient(Gradient(FrameEncoding::kI64, {0, 4}), Verdict::kStored, Duration(1));
  metrics_.CountWeightsSent(400, /*bf16=*/false);
  metrics_.CountWeightsSent(100, /*bf16=*/true);

  const std::string text = registry_.Render();
  const std::string job = R"(train_job="0000000000000007"})";
  EXPECT_THAT(
      text, HasSubstr(R"(drover_payload_bytes_total{direction="received",kind="gradient",)" + job +
                      " 400\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_wire_bytes_total{direction="received",encoding="i64",)"
                              R"(kind="gradient",)" +
                              job + " 800\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_payload_bytes_total{direction="sent",kind="weight",)" +
                              job + " 600\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_wire_bytes_total{direction="sent",encoding="bf16",)"
                              R"(kind="weight",)" +
                              job + " 100\n"));
}

TEST_F(ShardMetricsTest, AnotherJobsSeriesAreGone) {
  metrics_.SetVersion(3);

  metrics_.SetJob(8, 0, 100);

  const std::string text = registry_.Render();
  EXPECT_THAT(text, Not(HasSubstr(R"(train_job="0000000000000007")")));
  EXPECT_THAT(text, HasSubstr(R"(train_job="0000000000000008")"));
  metrics_.ClearJob();
  metrics_.SetVersion(4);  // Of no job: nowhere.
  EXPECT_THAT(registry_.Render(), Not(HasSubstr(R"(train_job="0000000000000008")")));
}

TEST(ShardMetricsOnGpuTest, TheDeviceIsTheOneThatComputes) {
  MetricRegistry registry(MetricRole::kShard);
  ShardMetrics metrics(&registry, "cuda:1");
  metrics.SetJob(7, 2, 100);
  metrics.SetStateBytes(4000);
  metrics.ObserveApply(std::chrono::milliseconds(500));

  const std::string text = registry.Render();
  EXPECT_THAT(text, HasSubstr("drover_optimizer_state_bytes{device=\"cuda:1\",shard=\"2\","
                              "train_job=\"0000000000000007\"} 4000\n"));
  EXPECT_THAT(text, HasSubstr("drover_optimizer_kernel_duration_seconds_sum{device=\"cuda:1\","
                              "kernel=\"apply\"} 0.5\n"));
}

}  // namespace
}  // namespace drover
