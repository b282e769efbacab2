// A lease over real frames to a fake shard: what is pushed must be the sums of a slow loop.

#include "worker/train/lease_run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/bounded_queue.h"
#include "common/base/philox.h"
#include "tests/unit/worker/comm/fake_shard.h"

namespace drover {
namespace {

constexpr int kFractionBits = 40;
constexpr int64_t kLeafSamples = 8;

class LeaseRunTest : public testing::Test {
 protected:
  LeaseRunTest()
      : layout_(std::make_shared<const Layout>(
            Layout::Make({{"a", {3, 50}, {}}, {"b", {9}, {}}, {"c", {20}, {}}}).value())),
        shard_([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
          if (frame.header.type == FrameType::kHello) return {};
          return {AckOf(frame.header, Verdict::kStored)};
        }) {
    setup_.batch = 32;
    setup_.leaves = 4;
    setup_.fraction_bits = kFractionBits;
    ShardLink::Options options;
    options.address = shard_.address();
    options.shard = "shard-0";
    options.worker = "w";
    options.job = 1;
    options.layout_hash = layout_->hash();
    options.on_ack = [this](const FrameHeader& ack) { acks_.Push(ack); };
    options.on_weights = [](const ReceivedFrame&) { return true; };
    options.on_gone = [](int64_t) {};
    link_ = std::make_unique<ShardLink>(std::move(options));
    const std::vector<BlockRange> parts = {layout_->all_blocks()};
    chunks_ = std::make_shared<const ChunkMap>(*layout_, parts);
  }

  std::unique_ptr<LeaseRun> Begin(LeafRange leaves) {
    return std::make_unique<LeaseRun>(LeaseRun::Order{1, 6, leaves}, setup_, layout_, chunks_,
                                      std::vector<ShardLink*>{link_.get()},
                                      std::make_shared<const Weights>(), Instant{});
  }

  float Value(uint32_t leaf, uint64_t element) const {
    return UnitFloat(Philox(3, leaf, element)[0]) - 0.5f;
  }

  void Compute(LeaseRun* run, uint32_t leaf) {
    std::vector<float> lane(layout_->SpanElements(layout_->all_blocks()));
    float* gradient = run->LeafBuffer(lane.data());
    for (size_t tensor = 3; tensor-- > 0;) {
      const uint64_t offset = layout_->tensor_offset(tensor);
      for (uint64_t i = offset; i < offset + layout_->tensor_size(tensor); ++i) {
        gradient[i] = Value(leaf, i);
      }
      run->TensorFinal(leaf, tensor, gradient);
    }
    run->LeafFinal({1000 + leaf, 3, kLeafSamples, 0});
  }

  // Hands acknowledgements on until the lease has ended, at most `count`.
  void TakeAcks(LeaseRun* run, int count) {
    for (int i = 0; i < count; ++i) {
      const std::optional<FrameHeader> ack = acks_.PopFor(std::chrono::seconds(10));
      ASSERT_TRUE(ack);
      run->OnAck(*ack);
    }
  }

  const std::shared_ptr<const Layout> layout_;
  JobSetup setup_;
  BoundedQueue<FrameHeader> acks_{16};
  FakeShard shard_;
  std::unique_ptr<ShardLink> link_;
  std::shared_ptr<const ChunkMap> chunks_;
};

TEST_F(LeaseRunTest, SeveralLeavesGoAsTheirExactSum) {
  const std::unique_ptr<LeaseRun> run = Begin({1, 4});
  // Any order of leaves.
  for (const uint32_t leaf : {3u, 1u, 2u}) Compute(run.get(), leaf);
  TakeAcks(run.get(), 2);

  EXPECT_EQ(run->outcome(), LeaseRun::Outcome::kDone);
  const FakeShard::Frame frame = shard_.WaitForFrame(FrameType::kGradient, 0);
  EXPECT_EQ(frame.header.encoding, FrameEncoding::kI64);
  EXPECT_EQ(frame.header.leaves(), (LeafRange{1, 4}));
  EXPECT_EQ(frame.header.step, 6u);
  std::vector<int64_t> sums(frame.payload.size() / sizeof(int64_t));
  ASSERT_EQ(sums.size(), layout_->SpanElements(layout_->all_blocks()));
  std::memcpy(sums.data(), frame.payload.data(), frame.payload.size());
  std::vector<int64_t> expected(sums.size(), 0);  // Gaps stay zero.
  for (size_t tensor = 0; tensor < 3; ++tensor) {
    const uint64_t offset = layout_->tensor_offset(tensor);
    for (uint64_t i = offset; i < offset + layout_->tensor_size(tensor); ++i) {
      for (const uint32_t leaf : {1u, 2u, 3u}) {
        expected[i] += std::llrint(std::ldexp(static_cast<double>(Value(leaf, i)), kFractionBits));
      }
    }
  }
  EXPECT_EQ(sums, expected);
}

TEST_F(LeaseRunTest, OneLeafGoesAsItsFloats) {
  const std::unique_ptr<LeaseRun> run = Begin({2, 3});
  Compute(run.get(), 2);
  TakeAcks(run.get(), 2);

  const FakeShard::Frame frame = shard_.WaitForFrame(FrameType::kGradient, 0);
  EXPECT_EQ(frame.header.encoding, FrameEncoding::kF32);
  std::vector<float> values(frame.payload.size() / sizeof(float));
  std::memcpy(values.data(), frame.payload.data(), frame.payload.size());
  EXPECT_EQ(values[0], Value(2, 0));
  EXPECT_EQ(values.back(), Value(2, values.size() - 1));
}

TEST_F(LeaseRunTest, StatisticsAreTheSumOverTheLeaves) {
  const std::unique_ptr<LeaseRun> run = Begin({0, 2});
  Compute(run.get(), 0);
  Compute(run.get(), 1);

  const FakeShard::Frame frame = shard_.WaitForFrame(FrameType::kStats, 0);
  ASSERT_EQ(frame.payload.size(), kStepStatsBytes);
  const StepStats stats = DecodeStepStats(
      std::span<const std::byte, kStepStatsBytes>(frame.payload.data(), kStepStatsBytes));
  EXPECT_EQ(stats, (StepStats{2001, 6, 2 * kLeafSamples, 0}));
}

TEST_F(LeaseRunTest, LeafThatIsNotFiniteFailsTheLeaseAndNamesTensorAndElement) {
  const std::unique_ptr<LeaseRun> run = Begin({0, 2});
  std::vector<float> lane(layout_->SpanElements(layout_->all_blocks()), 0.0f);
  lane[layout_->tensor_offset(1) + 4] = std::numeric_limits<float>::quiet_NaN();

  run->TensorFinal(1, 1, lane.data());

  EXPECT_EQ(run->outcome(), LeaseRun::Outcome::kFailed);
  EXPECT_EQ(run->failure().leaf, 1u);
  EXPECT_EQ(run->failure().tensor, "b");
  EXPECT_NE(run->failure().what.find("element 4"), std::string::npos);
  EXPECT_TRUE(run->cancelled());
  EXPECT_FALSE(run->NextLeaf());
}

TEST_F(LeaseRunTest, LeafBeyondTheRangeOfFixedPointFailsTheLease) {
  const std::unique_ptr<LeaseRun> run = Begin({0, 2});
  std::vector<float> lane(layout_->SpanElements(layout_->all_blocks()), 0.0f);
  lane[layout_->tensor_offset(2)] = LeafLimit(kLeafSamples);

  run->TensorFinal(0, 2, lane.data());

  EXPECT_EQ(run->outcome(), LeaseRun::Outcome::kFailed);
}

TEST_F(LeaseRunTest, RefusedChunkMakesTheLeaseVoid) {
  const std::unique_ptr<LeaseRun> run = Begin({0, 2});
  FrameHeader ack;
  ack.type = FrameType::kAck;
  ack.step = 6;
  ack.leaf_begin = 0;
  ack.leaf_end = 2;
  ack.verdict = Verdict::kEpoch;

  EXPECT_TRUE(run->OnAck(ack));
  EXPECT_EQ(run->outcome(), LeaseRun::Outcome::kVoid);
}

TEST_F(LeaseRunTest, AcknowledgementsOfAnotherLeaseChangeNothing) {
  const std::unique_ptr<LeaseRun> run = Begin({0, 2});
  FrameHeader ack;
  ack.step = 5;
  ack.leaf_begin = 0;
  ack.leaf_end = 2;
  ack.verdict = Verdict::kStep;

  EXPECT_FALSE(run->OnAck(ack));
  EXPECT_EQ(run->outcome(), LeaseRun::Outcome::kOpen);
}

}  // namespace
}  // namespace drover
