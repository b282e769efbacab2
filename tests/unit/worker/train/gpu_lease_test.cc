// Leases on several emulated GPUs of one host: what goes to the shards is the same, however many
// GPUs there are and whoever adds them up.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/train/small_job.h"
#include "worker/train/device_choice.h"
#include "worker/train/lane_pool.h"
#include "worker/train/lease_run.h"

namespace drover {
namespace {

using Frames = std::map<BlockRange, std::vector<int64_t>>;

class GpuLeaseTest : public testing::Test {
 protected:
  ~GpuLeaseTest() override { emulator::SetDeviceCount(1); }

  // The gradient frames of a lease of all four leaves, by lanes on so many GPUs, which add up at
  // least `segment` elements at once, or with 0 do not: the host does.
  Frames Push(int gpus, uint64_t segment) {
    emulator::SetDeviceCount(gpus);
    v1::JobSpec spec;
    spec.set_device(v1::JobSpec::DEVICE_CUDA);
    spec.set_precision(v1::JobSpec::PRECISION_F32);
    const ComputeDevice device = GpusElseCpu(/*cpu_lanes=*/1)(spec).value();
    const std::unique_ptr<LanePool> lanes = LanePool::Make(SmallJob(), device.lanes).value();
    const auto layout = std::make_shared<const Layout>(lanes->layout());
    EXPECT_EQ(static_cast<bool>(device.make_reduce), gpus > 1);

    LeaseContext context;
    context.leaf_samples = 8;
    context.fraction_bits = 40;
    context.layout = layout;
    // Two shards: one has a single block.
    context.chunks = std::make_shared<const ChunkMap>(
        *layout, std::vector<BlockRange>{{0, 1}, {1, layout->block_count()}});
    context.push = [this](size_t, const FrameHeader& header, const grpc::ByteBuffer& frame) {
      const ReceivedFrame received = ParseFrame(frame).value();
      const std::string bytes = received.PayloadText();
      MutexLock lock(&mutex_);
      if (header.type == FrameType::kGradient) {
        std::vector<int64_t>& sums = frames_[header.blocks()];
        sums.resize(bytes.size() / sizeof(int64_t));
        std::memcpy(sums.data(), bytes.data(), bytes.size());
      } else {
        ++stats_;
      }
      changed_.NotifyAll();
    };
    context.floats = MakeBufferPool<float>(*layout, device.host_memory);
    context.sums = MakeBufferPool<int64_t>(*layout, device.host_memory);
    std::vector<int> indices(static_cast<size_t>(gpus));
    std::iota(indices.begin(), indices.end(), 0);
    if (segment > 0) context.reduce = MakeHostReduce(indices, *layout, segment).value();
    context.on_change = [] {};
    context.metrics = &metrics_;
    const auto run =
        std::make_shared<LeaseRun>(LeaseRun::Order{1, 6, {0, 4}}, context, WeightsOf(*layout, 6));
    lanes->Start(run);
    MutexLock lock(&mutex_);
    while (frames_.size() < context.chunks->chunks.size() || stats_ < 2) changed_.Wait(&mutex_);
    EXPECT_EQ(run->outcome(), LeaseRun::Outcome::kOpen);  // Nobody has acknowledged anything.
    stats_ = 0;
    return std::exchange(frames_, {});
  }

  MetricRegistry registry_{MetricRole::kWorker};
  WorkerMetrics metrics_{&registry_, "w"};
  Mutex mutex_;
  CondVar changed_;
  Frames frames_ DROVER_GUARDED_BY(mutex_);
  int stats_ DROVER_GUARDED_BY(mutex_) = 0;
};

TEST_F(GpuLeaseTest, PushesTheSameSumsHoweverManyGpusThereAreAndWhoeverAddsThemUp) {
  const Frames one = Push(1, 0);
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(Push(2, 0), one);
  // Segments of a block, of two or three, and all at once; chunks have one or several, and some
  // share one.
  for (const uint64_t segment : {uint64_t{1}, uint64_t{20}, kReduceSegmentElements}) {
    emulator::ForEachSeed(4, [&](uint64_t seed) {  // Lanes race for leaves as well.
      EXPECT_EQ(Push(2, segment), one) << "segment " << segment << ", seed " << seed;
      EXPECT_EQ(Push(3, segment), one) << "segment " << segment << ", seed " << seed;
    });
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
