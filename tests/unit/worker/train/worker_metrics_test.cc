#include "worker/train/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

class WorkerMetricsTest : public testing::Test {
 protected:
  WorkerMetricsTest() { metrics_.SetJob(7, /*lanes=*/4); }

  static FrameHeader Frame(FrameType type, FrameEncoding encoding) {
    FrameHeader header;
    header.type = type;
    header.encoding = encoding;
    header.payload_bytes = 800;
    return header;
  }

  MetricRegistry registry_{MetricRole::kWorker};
  WorkerMetrics metrics_{&registry_, "w-1"};
};

TEST_F(WorkerMetricsTest, LeavesAreCountedWithTheirPhases) {
  LeafTimes times;
  times.data = milliseconds(500);
  times.forward = milliseconds(1000);
  times.backward = milliseconds(2000);
  times.reduce = milliseconds(750);
  times.encode = milliseconds(250);
  metrics_.CountLeaf(64, 1000, times);
  metrics_.CountLeaf(64, 1000, times);
  metrics_.ObservePush(milliseconds(125));
  metrics_.ObservePull(milliseconds(750));
  metrics_.ObserveIdle(milliseconds(1500));

  const std::string text = registry_.Render();
  const std::string job = R"(train_job="0000000000000007")";
  EXPECT_THAT(text, HasSubstr("drover_worker_samples_total{" + job + R"(,worker="w-1"} 128)"));
  EXPECT_THAT(text,
              HasSubstr("drover_worker_model_flops_total{" + job + R"(,worker="w-1"} 128000)"));
  // Lanes wait side by side.
  EXPECT_THAT(
      text, HasSubstr("drover_worker_data_stall_seconds_total{" + job + R"(,worker="w-1"} 0.25)"));
  for (const auto& [phase, sum] :
       {std::pair("data", "1"), std::pair("forward", "2"), std::pair("backward", "4"),
        std::pair("reduce", "1.5"), std::pair("encode", "0.5"), std::pair("push", "0.125"),
        std::pair("pull", "0.75"), std::pair("idle", "1.5")}) {
    EXPECT_THAT(text, HasSubstr(std::string("drover_worker_phase_duration_seconds_sum{phase=\"") +
                                phase + "\"," + job + "} " + sum + "\n"));
  }
}

TEST_F(WorkerMetricsTest, BytesAreCountedAsTensorsAndAsEncoded) {
  metrics_.CountSent(Frame(FrameType::kGradient, FrameEncoding::kF32));
  metrics_.CountSent(Frame(FrameType::kGradient, FrameEncoding::kI64));
  metrics_.CountSent(Frame(FrameType::kStats, FrameEncoding::kI64));
  metrics_.CountReceived(Frame(FrameType::kWeights, FrameEncoding::kF32));
  metrics_.CountReceived(Frame(FrameType::kWeights, FrameEncoding::kBf16));
  metrics_.CountReceived(Frame(FrameType::kAck, FrameEncoding::kNone));

  const std::string text = registry_.Render();
  const std::string sent = R"({direction="sent",)";
  const std::string job = R"(train_job="0000000000000007"})";
  EXPECT_THAT(text, HasSubstr("drover_payload_bytes_total" + sent + R"(kind="gradient",)" + job +
                              " 1200\n"));
  EXPECT_THAT(text, HasSubstr("drover_wire_bytes_total" + sent +
                              R"(encoding="f32",kind="gradient",)" + job + " 800\n"));
  EXPECT_THAT(text, HasSubstr("drover_wire_bytes_total" + sent +
                              R"(encoding="i64",kind="gradient",)" + job + " 800\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_payload_bytes_total{direction="received",kind="weight",)" +
                              job + " 2400\n"));
  EXPECT_THAT(text, HasSubstr(R"(drover_wire_bytes_total{direction="received",encoding="bf16",)"
                              R"(kind="weight",)" +
                              job + " 800\n"));
}

TEST_F(WorkerMetricsTest, StreamsDialledAgainAreCountedBesideTheJobs) {
  metrics_.CountLinkRetry();
  metrics_.CountLinkRetry();
  metrics_.CountSessionRetry();
  metrics_.ClearJob();

  const std::string text = registry_.Render();
  EXPECT_THAT(text, HasSubstr("drover_rpc_retries_total{grpc_method=\"Exchange\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("drover_rpc_retries_total{grpc_method=\"Session\"} 1\n"));
}

TEST_F(WorkerMetricsTest, TheMemoryOfADeviceIsReadAtEachScrape) {
  int64_t used = 100;
  metrics_.SetDevice("cuda", 1e12, [&used] {
    return std::vector<DeviceMemory>{{"cuda:0", used, 50, 1000}};
  });
  EXPECT_THAT(registry_.Render(),
              HasSubstr("drover_device_memory_bytes{device=\"cuda:0\",kind=\"used\"} 100\n"));
  used = 200;

  const std::string text = registry_.Render();

  const std::string memory = "drover_device_memory_bytes{device=\"cuda:0\",kind=\"";
  EXPECT_THAT(text, HasSubstr(memory + "used\"} 200\n"));
  EXPECT_THAT(text, HasSubstr(memory + "reserved\"} 50\n"));
  EXPECT_THAT(text, HasSubstr(memory + "total\"} 1000\n"));
  EXPECT_THAT(text, HasSubstr("drover_worker_peak_flops{device=\"cuda\",train_job="
                              "\"0000000000000007\",worker=\"w-1\"} 1000000000000\n"));
}

TEST_F(WorkerMetricsTest, APeakThatIsNotKnownIsNotShown) {
  metrics_.SetDevice("cpu", 0, nullptr);
  EXPECT_THAT(registry_.Render(), Not(HasSubstr("drover_worker_peak_flops{")));
  EXPECT_THAT(registry_.Render(), Not(HasSubstr("drover_device_memory_bytes{")));
}

TEST_F(WorkerMetricsTest, SeriesGoWithTheirJob) {
  metrics_.CountLeaf(64, 1000, {});
  metrics_.ClearJob();
  metrics_.ClearJob();
  metrics_.CountLeaf(64, 1000, {});

  EXPECT_THAT(registry_.Render(), Not(HasSubstr("0000000000000007")));
  metrics_.SetJob(8, 1);
  metrics_.CountLeaf(32, 1000, {});
  EXPECT_THAT(
      registry_.Render(),
      HasSubstr(R"(drover_worker_samples_total{train_job="0000000000000008",worker="w-1"} 32)"));
}

}  // namespace
}  // namespace drover
