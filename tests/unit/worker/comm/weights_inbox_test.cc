#include "worker/comm/weights_inbox.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

namespace drover {
namespace {

using Arrival = WeightsInbox::Arrival;

class WeightsInboxTest : public testing::Test {
 protected:
  WeightsInboxTest()
      : layout_(std::make_shared<const Layout>(
            Layout::Make({{"a", {3, 5}, {}}, {"b", {4}, {}}, {"c", {2}, {}}}).value())),
        inbox_(layout_, {{0, 2}, {2, 3}}),
        values_(layout_->SpanElements(layout_->all_blocks())) {
    std::iota(values_.begin(), values_.end(), 1.0f);
  }

  ReceivedFrame Frame(BlockRange blocks, int64_t version = 7, uint32_t epoch = 2,
                      bool damaged = false) {
    FrameHeader header;
    header.type = FrameType::kWeights;
    header.encoding = FrameEncoding::kF32;
    header.epoch = epoch;
    header.step = static_cast<uint64_t>(version);
    header.block_begin = blocks.begin;
    header.block_count = blocks.size();
    header.layout_hash = layout_->hash();
    const std::array<ByteSpan, 1> payload = {std::as_bytes(
        std::span(values_).subspan(layout_->SpanOffset(blocks), layout_->SpanElements(blocks)))};
    header.payload_crc = PayloadCrc(payload) + (damaged ? 1 : 0);
    return ParseFrame(MakeStaticFrame(header, payload)).value();
  }

  const std::shared_ptr<const Layout> layout_;
  WeightsInbox inbox_;
  std::vector<float> values_;
};

TEST_F(WeightsInboxTest, IsCompleteWhenEveryPartIs) {
  inbox_.Expect(2, 7);

  EXPECT_EQ(inbox_.Receive(0, Frame({0, 1})), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(0, Frame({1, 2})), Arrival::kPartComplete);
  EXPECT_EQ(inbox_.Take(), nullptr);
  EXPECT_EQ(inbox_.Receive(1, Frame({2, 3})), Arrival::kComplete);

  const std::shared_ptr<const Weights> weights = inbox_.Take();
  ASSERT_NE(weights, nullptr);
  EXPECT_EQ(weights->version, 7);
  for (const Block& block : layout_->blocks()) {
    for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
      EXPECT_EQ(weights->values.data()[i], values_[i]);
    }
  }
}

TEST_F(WeightsInboxTest, FrameThatComesTwiceCountsOnce) {
  inbox_.Expect(2, 7);
  inbox_.Receive(1, Frame({2, 3}));

  EXPECT_EQ(inbox_.Receive(0, Frame({0, 1})), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(0, Frame({0, 1})), Arrival::kMore);
  EXPECT_EQ(inbox_.Take(), nullptr);
}

TEST_F(WeightsInboxTest, NeverMixesVersionsOrEpochs) {
  inbox_.Expect(2, 7);
  inbox_.Receive(0, Frame({0, 2}));

  EXPECT_EQ(inbox_.Receive(1, Frame({2, 3}, /*version=*/8)), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(1, Frame({2, 3}, 7, /*epoch=*/1)), Arrival::kMore);
  EXPECT_EQ(inbox_.Take(), nullptr);
  inbox_.Expect(2, 8);  // What had arrived of version 7 is void.
  EXPECT_EQ(inbox_.Receive(1, Frame({2, 3}, 8)), Arrival::kPartComplete);
  EXPECT_EQ(inbox_.Take(), nullptr);
}

TEST_F(WeightsInboxTest, DamagedOrForeignFramesAreRefused) {
  inbox_.Expect(2, 7);

  EXPECT_EQ(inbox_.Receive(0, Frame({0, 1}, 7, 2, /*damaged=*/true)), Arrival::kDamaged);
  EXPECT_EQ(inbox_.Receive(1, Frame({0, 1})), Arrival::kDamaged) << "blocks of another shard";
  EXPECT_EQ(inbox_.Receive(0, Frame({0, 1})), Arrival::kMore) << "the right one still counts";
}

TEST_F(WeightsInboxTest, VersionInUseIsNotOverwritten) {
  inbox_.Expect(2, 7);
  inbox_.Receive(0, Frame({0, 2}));
  inbox_.Receive(1, Frame({2, 3}));
  const std::shared_ptr<const Weights> in_use = inbox_.Take();
  const float before = in_use->values.data()[0];

  values_[0] = 99.0f;
  inbox_.Expect(2, 8);
  inbox_.Receive(0, Frame({0, 2}, 8));
  inbox_.Receive(1, Frame({2, 3}, 8));

  EXPECT_EQ(in_use->values.data()[0], before);
  EXPECT_EQ(inbox_.Take()->values.data()[0], 99.0f);
}

}  // namespace
}  // namespace drover
