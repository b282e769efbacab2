#include "worker/comm/shard_set.h"

#include <gtest/gtest.h>

#include <numeric>
#include <utility>

#include "common/base/bounded_queue.h"
#include "tests/unit/worker/comm/fake_shard.h"

namespace drover {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

class Acks : public AckReceiver {
 public:
  void OnAck(size_t part, const FrameHeader& ack) override { queue.TryPush({part, ack}); }
  BoundedQueue<std::pair<size_t, FrameHeader>> queue{100};
};

// Two shards that answer every pull with all they have and every push with "stored".
class ShardSetTest : public testing::Test {
 protected:
  ShardSetTest()
      : layout_(std::make_shared<const Layout>(
            Layout::Make({{"a", {3}, {}}, {"b", {5}, {}}, {"c", {9}, {}}}).value())),
        values_(layout_->SpanElements(layout_->all_blocks())),
        zero_([this](const FakeShard::Frame& frame) {
          return Answer({0, 2}, frame);
        }),
        one_([this](const FakeShard::Frame& frame) {
          return Answer({2, 3}, frame);
        }) {
    std::iota(values_.begin(), values_.end(), 1.0f);
  }

  std::vector<grpc::ByteBuffer> Answer(BlockRange blocks, const FakeShard::Frame& frame) {
    const int64_t step = static_cast<int64_t>(frame.header.step);
    if (frame.header.type == FrameType::kHello) return {};
    if (frame.header.type != FrameType::kPull) return {AckOf(frame.header, Verdict::kStored)};
    if (step < 5) return {GoneFrame(frame.header, 5)};
    return {WeightsFrame(*layout_, blocks, values_, step, /*epoch=*/3)};
  }

  ShardSet::Options OptionsFor(std::vector<ShardSet::Shard> shards) {
    ShardSet::Options options;
    options.worker = "w";
    options.job = 8;
    options.epoch = 3;
    options.layout = layout_;
    options.shards = std::move(shards);
    options.pool = MakeWeightsPool(*layout_);
    options.on_change = [this] { changes_.TryPush(true); };
    return options;
  }
  std::shared_ptr<ShardSet> Connect() {
    return ShardSet::Connect(
               OptionsFor({{"zero", zero_.address(), {0, 2}}, {"one", one_.address(), {2, 3}}}))
        .value();
  }

  const std::shared_ptr<const Layout> layout_;
  std::vector<float> values_;
  BoundedQueue<bool> changes_{100};
  FakeShard zero_;
  FakeShard one_;
};

TEST_F(ShardSetTest, PullsAVersionFromAllShards) {
  const std::shared_ptr<ShardSet> shards = Connect();

  shards->Pull(7);
  EXPECT_EQ(shards->inbox().expected(), 7);
  ASSERT_TRUE(changes_.PopFor(kPatience).has_value());

  const std::shared_ptr<const Weights> weights = shards->inbox().Take();
  ASSERT_NE(weights, nullptr);
  EXPECT_EQ(weights->values.data()[layout_->tensor_offset(2)], values_[layout_->tensor_offset(2)]);
  shards->Close();
}

TEST_F(ShardSetTest, TellsWhichVersionShardsHaveGoneOnTo) {
  const std::shared_ptr<ShardSet> shards = Connect();

  shards->Pull(2);
  ASSERT_TRUE(changes_.PopFor(kPatience).has_value());

  EXPECT_EQ(shards->inbox().newer(), 5);
  shards->Close();
}

TEST_F(ShardSetTest, AcknowledgementsGoToWhoPushes) {
  const std::shared_ptr<ShardSet> shards = Connect();
  const auto acks = std::make_shared<Acks>();
  shards->BeginPushes(acks);
  FrameHeader header = shards->NewHeader(FrameType::kStats);
  header.leaf_end = 1;

  shards->Push(1, header, MakeSmallFrame(header));

  const auto ack = acks->queue.PopFor(kPatience);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->first, 1u);
  EXPECT_EQ(ack->second.verdict, Verdict::kStored);
  EXPECT_EQ(one_.WaitForFrame(FrameType::kStats, 0).header.job, 8u);
  EXPECT_EQ(zero_.Count(FrameType::kStats), 0u);
  shards->EndPushes();
  shards->Close();  // Waits for the thread that has just handed over the acknowledgement.
  EXPECT_EQ(acks.use_count(), 1);
}

TEST_F(ShardSetTest, NothingHappensAfterClose) {
  const std::shared_ptr<ShardSet> shards = Connect();
  const FrameHeader header = shards->NewHeader(FrameType::kStats);
  shards->Close();

  shards->Push(0, header, MakeSmallFrame(header));
  shards->Pull(9);
  shards->EndPushes();

  EXPECT_EQ(shards->inbox().Take(), nullptr);
}

TEST_F(ShardSetTest, EveryBlockMustBeOnOneShard) {
  const std::vector<std::vector<BlockRange>> bad = {
      {},                    // No shard at all.
      {{0, 2}},              // The end is missing.
      {{1, 3}},              // The beginning is.
      {{0, 1}, {2, 3}},      // A gap.
      {{0, 2}, {1, 3}},      // An overlap.
      {{0, 3}, {3, 4}},      // More than there are.
      {{0, 3}, {1, 1}},      // Nothing.
      {{0, 3}, {2, 1}},      // Backwards.
      {{0, 4'000'000'000}},  // Far out.
  };
  for (const std::vector<BlockRange>& parts : bad) {
    std::vector<ShardSet::Shard> shards;
    for (const BlockRange& part : parts) shards.push_back({"s", "127.0.0.1:1", part});
    EXPECT_EQ(ShardSet::Connect(OptionsFor(shards)).status().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace drover
