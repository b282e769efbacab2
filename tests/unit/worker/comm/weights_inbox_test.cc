#include "worker/comm/weights_inbox.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <span>
#include <vector>

#include "common/base/thread.h"
#include "common/tensor/bf16.h"
#include "tests/unit/worker/comm/fake_shard.h"

namespace drover {
namespace {

using Arrival = WeightsInbox::Arrival;

constexpr uint32_t kEpoch = 2;

// Two shards; the first one's tensor takes two chunks.
class WeightsInboxTest : public testing::Test {
 protected:
  WeightsInboxTest()
      : layout_(std::make_shared<const Layout>(
            Layout::Make({{"a", {17, kBlockElements}, {}}, {"b", {5}, {}}, {"c", {9}, {}}})
                .value())),
        chunks_(
            std::make_shared<const ChunkMap>(*layout_, std::vector<BlockRange>{{0, 18}, {18, 19}})),
        inbox_(layout_, chunks_, MakeWeightsPool(*layout_), kEpoch),
        values_(layout_->SpanElements(layout_->all_blocks())) {
    std::iota(values_.begin(), values_.end(), 1.0f);
  }

  ReceivedFrame Frame(BlockRange blocks, int64_t version = 7, uint32_t epoch = kEpoch,
                      bool damaged = false) {
    return ParseFrame(WeightsFrame(*layout_, blocks, values_, version, epoch, damaged)).value();
  }
  ReceivedFrame Chunk(size_t chunk, int64_t version = 7) {
    return Frame(chunks_->chunks[chunk].blocks, version);
  }

  const std::shared_ptr<const Layout> layout_;
  const std::shared_ptr<const ChunkMap> chunks_;
  WeightsInbox inbox_;
  std::vector<float> values_;
};

TEST_F(WeightsInboxTest, IsCompleteWhenEveryPartIs) {
  ASSERT_EQ(chunks_->chunks.size(), 3u);
  inbox_.Expect(7);

  EXPECT_EQ(inbox_.Receive(0, Chunk(1)), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(0, Chunk(0)), Arrival::kPartComplete);
  EXPECT_EQ(inbox_.Take(), nullptr);
  EXPECT_EQ(inbox_.Receive(1, Chunk(2)), Arrival::kComplete);

  Duration duration(-1);
  const std::shared_ptr<const Weights> weights = inbox_.Take(&duration);
  ASSERT_NE(weights, nullptr);
  EXPECT_GE(duration.count(), 0);
  EXPECT_EQ(weights->version, 7);
  for (const Block& block : layout_->blocks()) {
    for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
      ASSERT_EQ(weights->values.data()[i], values_[i]);
    }
  }
  EXPECT_EQ(inbox_.Take(), nullptr) << "handed out once";
}

TEST_F(WeightsInboxTest, Bf16BecomesFloat32) {
  std::vector<uint16_t> rounded(values_.size());
  RoundToBf16(values_.data(), values_.size(), rounded.data());
  const auto frame = [&](size_t chunk) {
    const BlockRange blocks = chunks_->chunks[chunk].blocks;
    const auto payload = std::as_bytes(
        std::span(rounded).subspan(layout_->SpanOffset(blocks), layout_->SpanElements(blocks)));
    FrameHeader header = Frame(blocks).header();
    header.encoding = FrameEncoding::kBf16;
    header.payload_crc = PayloadCrc(std::array{ByteSpan(payload)});
    return ParseFrame(MakeSmallFrame(header, payload)).value();
  };
  inbox_.Expect(7);

  EXPECT_EQ(inbox_.Receive(0, frame(0)), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(0, frame(1)), Arrival::kPartComplete);
  EXPECT_EQ(inbox_.Receive(1, frame(2)), Arrival::kComplete);

  const std::shared_ptr<const Weights> weights = inbox_.Take();
  for (const Block& block : layout_->blocks()) {
    for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
      ASSERT_EQ(weights->values.data()[i], FromBf16(ToBf16(values_[i]))) << i;
    }
  }
}

TEST_F(WeightsInboxTest, FrameThatComesTwiceCountsOnce) {
  inbox_.Expect(7);
  inbox_.Receive(1, Chunk(2));

  EXPECT_EQ(inbox_.Receive(0, Chunk(0)), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(0, Chunk(0)), Arrival::kMore);
  EXPECT_EQ(inbox_.Take(), nullptr);
}

TEST_F(WeightsInboxTest, NeverMixesVersionsOrEpochs) {
  inbox_.Expect(7);
  inbox_.Receive(0, Chunk(0));
  inbox_.Receive(0, Chunk(1));

  EXPECT_EQ(inbox_.Receive(1, Chunk(2, /*version=*/8)), Arrival::kMore);
  EXPECT_EQ(inbox_.Receive(1, Frame({18, 19}, 7, /*epoch=*/1)), Arrival::kMore);
  EXPECT_EQ(inbox_.Take(), nullptr);
  inbox_.Expect(8);  // What had arrived of version 7 is void.
  EXPECT_EQ(inbox_.Receive(1, Chunk(2, 8)), Arrival::kPartComplete);
  EXPECT_EQ(inbox_.Take(), nullptr);
}

TEST_F(WeightsInboxTest, NothingIsTakenBeforeAVersionIsExpected) {
  EXPECT_EQ(inbox_.Receive(0, Chunk(0)), Arrival::kMore);
  EXPECT_EQ(inbox_.Take(), nullptr);
  EXPECT_EQ(inbox_.expected(), std::nullopt);
}

TEST_F(WeightsInboxTest, DamagedOrForeignFramesAreRefused) {
  inbox_.Expect(7);
  const BlockRange blocks = chunks_->chunks[0].blocks;

  EXPECT_EQ(inbox_.Receive(0, Frame(blocks, 7, kEpoch, /*damaged=*/true)), Arrival::kDamaged);
  EXPECT_EQ(inbox_.Receive(1, Frame(blocks)), Arrival::kForeign) << "blocks of another shard";
  EXPECT_EQ(inbox_.Receive(0, Frame({0, 3})), Arrival::kForeign) << "no chunk";
  EXPECT_EQ(inbox_.Receive(0, Frame(blocks)), Arrival::kMore) << "the right one still counts";
  EXPECT_EQ(inbox_.Receive(0, Chunk(1)), Arrival::kPartComplete);
}

TEST_F(WeightsInboxTest, VersionInUseIsNotOverwrittenAndItsMemoryIsUsedAgain) {
  const auto fill = [this](int64_t version) {
    inbox_.Expect(version);
    inbox_.Receive(0, Chunk(0, version));
    inbox_.Receive(0, Chunk(1, version));
    inbox_.Receive(1, Chunk(2, version));
    return inbox_.Take();
  };
  std::shared_ptr<const Weights> seven = fill(7);
  const Weights* memory = seven.get();

  values_[0] = 99.0f;
  const std::shared_ptr<const Weights> eight = fill(8);
  EXPECT_EQ(seven->values.data()[0], 1.0f);
  EXPECT_EQ(eight->values.data()[0], 99.0f);

  seven.reset();
  EXPECT_EQ(fill(9).get(), memory);
}

TEST_F(WeightsInboxTest, ShardsThatHaveGoneOnNameTheNewestVersion) {
  inbox_.Expect(7);
  inbox_.MarkGone(7);
  inbox_.MarkGone(3);
  EXPECT_EQ(inbox_.newer(), std::nullopt);

  inbox_.MarkGone(12);
  inbox_.MarkGone(11);
  EXPECT_EQ(inbox_.newer(), 12);
  inbox_.Expect(12);
  EXPECT_EQ(inbox_.newer(), std::nullopt);
}

TEST_F(WeightsInboxTest, ShardsArriveSideBySideWhileTheVersionChanges) {
  for (int64_t version = 1; version <= 50; ++version) {
    inbox_.Expect(version);
    {
      Thread first("first", [&] {
        inbox_.Receive(0, Chunk(0, version - 1));  // Late.
        inbox_.Receive(0, Chunk(0, version));
        inbox_.Receive(0, Chunk(1, version));
      });
      Thread second("second", [&] { inbox_.Receive(1, Chunk(2, version)); });
      if (version % 3 == 0) inbox_.Expect(version);
    }
    if (inbox_.Take() == nullptr) continue;  // Began anew in the middle.
    EXPECT_EQ(inbox_.expected(), std::nullopt);
  }
}

}  // namespace
}  // namespace drover
