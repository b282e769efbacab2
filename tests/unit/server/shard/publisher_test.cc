#include "server/shard/publisher.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/thread.h"
#include "server/shard/step_engine.h"
#include "server/shard/stream_outbox.h"
#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {
namespace {

class FakeSubscriber : public Subscriber {
 public:
  void SendWeights(std::shared_ptr<const WeightsSend> send) override {
    sends.push_back(std::move(send));
  }
  void SendGone(const FrameHeader& header) override { gone.push_back(header); }
  void Cancel() override { ++cancelled; }

  std::vector<std::shared_ptr<const WeightsSend>> sends;
  std::vector<FrameHeader> gone;
  int cancelled = 0;
};

class PublisherTest : public testing::Test {
 protected:
  PublisherTest()
      : layout_(SlowJobLayout()),
        publisher_(Clock::Real(), [this](Duration) { ++sent_; }),
        range_(SlowJobPlace(layout_, /*epoch=*/1, Rule::kSgd)),
        engine_(*range_.engine) {
    publisher_.Place(kSlowJobId, /*epoch=*/1, layout_, layout_->all_blocks());
    publisher_.Publish(engine_.current());
  }

  void PublishNext() {
    engine_.Skip();
    publisher_.Publish(engine_.current());
  }

  FrameHeader PullOf(int64_t version) const {
    return SlowJobHeader(FrameType::kPull, *layout_, version, {0, 0});
  }
  // What a pull is answered with at once, if it is gone.
  std::optional<FrameHeader> Pull(const std::shared_ptr<FakeSubscriber>& subscriber,
                                  const FrameHeader& header) {
    Result<std::optional<FrameHeader>> gone = publisher_.Pull(subscriber, header);
    EXPECT_TRUE(gone.ok()) << gone.status().ToString();
    return gone.ok() ? gone.value() : std::nullopt;
  }

  const std::shared_ptr<const Layout> layout_;
  int sent_ = 0;
  Publisher publisher_;
  const TestRange range_;
  StepEngine& engine_;
  const std::shared_ptr<FakeSubscriber> one_ = std::make_shared<FakeSubscriber>();
  const std::shared_ptr<FakeSubscriber> two_ = std::make_shared<FakeSubscriber>();
};

TEST_F(PublisherTest, AHeldVersionIsSentAtOnce) {
  EXPECT_EQ(Pull(one_, PullOf(0)), std::nullopt);

  ASSERT_EQ(one_->sends.size(), 1u);
  EXPECT_EQ(one_->sends[0]->version(), 0);
}

TEST_F(PublisherTest, FramesOfAVersionCarryItsBytesChecksumAndEpoch) {
  Pull(one_, PullOf(0));

  const Result<ReceivedFrame> frame = ParseFrame(WeightsSend::MakeFrame(one_->sends[0], 0));

  ASSERT_TRUE(frame.ok()) << frame.status().ToString();
  const FrameHeader& header = frame.value().header();
  EXPECT_EQ(header.type, FrameType::kWeights);
  EXPECT_EQ(header.encoding, FrameEncoding::kF32);
  EXPECT_EQ(header.job, kSlowJobId);
  EXPECT_EQ(header.epoch, 1u);
  EXPECT_EQ(header.step, 0u);
  EXPECT_EQ(header.blocks(), layout_->all_blocks());
  EXPECT_EQ(header.layout_hash, layout_->hash());
  EXPECT_TRUE(frame.value().PayloadCrcMatches());
  EXPECT_EQ(frame.value().PayloadText(), PayloadOf(SlowJob(layout_).weights()));
}

TEST_F(PublisherTest, AllWhoWaitAreServedWhenTheVersionIsPublished) {
  EXPECT_EQ(Pull(one_, PullOf(1)), std::nullopt);
  EXPECT_EQ(Pull(two_, PullOf(1)), std::nullopt);
  EXPECT_TRUE(one_->sends.empty());

  PublishNext();

  ASSERT_EQ(one_->sends.size(), 1u);
  ASSERT_EQ(two_->sends.size(), 1u);
  EXPECT_EQ(two_->sends[0]->version(), 1);
}

TEST_F(PublisherTest, ThePublishTimeEndsWithTheLastOfThoseWhoWaited) {
  Pull(one_, PullOf(1));
  Pull(two_, PullOf(1));
  PublishNext();

  one_->sends.clear();
  EXPECT_EQ(sent_, 0);
  two_->sends.clear();
  EXPECT_EQ(sent_, 1);
}

TEST_F(PublisherTest, APullTwiceIsSentOnce) {
  Pull(one_, PullOf(1));
  Pull(one_, PullOf(1));

  PublishNext();

  EXPECT_EQ(one_->sends.size(), 1u);
}

TEST_F(PublisherTest, ThePreviousVersionIsServedUntilItIsDropped) {
  PublishNext();
  EXPECT_EQ(Pull(one_, PullOf(0)), std::nullopt);
  ASSERT_EQ(one_->sends.size(), 1u);

  publisher_.DropBefore(1);
  const std::optional<FrameHeader> gone = Pull(one_, PullOf(0));

  ASSERT_TRUE(gone.has_value());
  EXPECT_EQ(gone->type, FrameType::kGone);
  EXPECT_EQ(gone->step, 1u);
  EXPECT_EQ(gone->epoch, 1u);
}

TEST_F(PublisherTest, TheOnlyVersionIsNeverDropped) {
  publisher_.DropBefore(1);

  EXPECT_EQ(Pull(one_, PullOf(0)), std::nullopt);
  EXPECT_EQ(one_->sends.size(), 1u);
}

TEST_F(PublisherTest, APullOfAnotherJobEpochOrLayoutIsGone) {
  for (const int wrong : {0, 1, 2}) {
    FrameHeader header = PullOf(0);
    if (wrong == 0) header.job += 1;
    if (wrong == 1) header.epoch += 1;
    if (wrong == 2) header.layout_hash += 1;

    const std::optional<FrameHeader> gone = Pull(one_, header);

    ASSERT_TRUE(gone.has_value()) << wrong;
    EXPECT_EQ(gone->job, kSlowJobId);
    EXPECT_EQ(gone->epoch, 1u);
  }
  EXPECT_TRUE(one_->sends.empty());
}

TEST_F(PublisherTest, WhoWaitsInAnOldEpochIsToldAndTheVersionsStay) {
  Pull(one_, PullOf(1));

  publisher_.Place(kSlowJobId, /*epoch=*/2, layout_, layout_->all_blocks());

  ASSERT_EQ(one_->gone.size(), 1u);
  EXPECT_EQ(one_->gone[0].epoch, 2u);
  FrameHeader header = PullOf(0);
  header.epoch = 2;
  EXPECT_EQ(Pull(one_, header), std::nullopt);
  EXPECT_EQ(one_->sends.size(), 1u);
}

TEST_F(PublisherTest, ClearedItHoldsNothing) {
  Pull(one_, PullOf(1));

  publisher_.Clear();

  ASSERT_EQ(one_->gone.size(), 1u);
  EXPECT_EQ(one_->gone[0].job, 0u);
  EXPECT_TRUE(Pull(one_, PullOf(0)).has_value());
}

TEST_F(PublisherTest, TooManyPullsOfOneStreamAreRefused) {
  for (int64_t version = 1; version <= 4; ++version) Pull(one_, PullOf(version));

  const Result<std::optional<FrameHeader>> fifth = publisher_.Pull(one_, PullOf(5));

  EXPECT_EQ(fifth.status().code(), Code::kResourceExhausted);
}

TEST_F(PublisherTest, AStreamThatWentAwayIsServedNoMore) {
  Pull(one_, PullOf(1));
  publisher_.Remove(one_.get());

  PublishNext();

  EXPECT_TRUE(one_->sends.empty());
  EXPECT_EQ(one_.use_count(), 1);
}

TEST_F(PublisherTest, OnlyReadersOfOldVersionsAreCancelled) {
  Pull(one_, PullOf(0));
  PublishNext();
  Pull(two_, PullOf(1));

  EXPECT_EQ(publisher_.CancelReadersBefore(1), 1u);
  EXPECT_EQ(one_->cancelled, 1);
  EXPECT_EQ(two_->cancelled, 0);

  one_->sends.clear();
  EXPECT_EQ(publisher_.CancelReadersBefore(1), 0u);
}

TEST_F(PublisherTest, AVersionThatWasPassedOverIsGone) {
  Pull(one_, PullOf(1));
  engine_.Skip();
  PublishNext();

  ASSERT_EQ(one_->gone.size(), 1u);
  EXPECT_EQ(one_->gone[0].step, 2u);
}

class StreamOutboxTest : public PublisherTest {
 protected:
  StreamOutboxTest() : outbox_(std::make_shared<StreamOutbox>([this] { ++cancels_; })) {}

  void PullZero() { EXPECT_TRUE(publisher_.Pull(outbox_, PullOf(0)).ok()); }
  static FrameType TypeOf(const grpc::ByteBuffer& message) {
    const Result<ReceivedFrame> frame = ParseFrame(message);
    EXPECT_TRUE(frame.ok());
    return frame.value().header().type;
  }
  grpc::ByteBuffer Ack() const {
    return MakeSmallFrame(SlowJobHeader(FrameType::kAck, *layout_, 0, {0, 1}));
  }

  int cancels_ = 0;
  const std::shared_ptr<StreamOutbox> outbox_;
};

TEST_F(StreamOutboxTest, AcknowledgementsOvertakeWeights) {
  PullZero();
  ASSERT_TRUE(outbox_->PushAck(Ack()));

  const std::optional<StreamOutbox::Item> first = outbox_->Next();
  const std::optional<StreamOutbox::Item> second = outbox_->Next();

  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(TypeOf(first->frame), FrameType::kAck);
  EXPECT_FALSE(first->weights);
  EXPECT_EQ(TypeOf(second->frame), FrameType::kWeights);
  EXPECT_TRUE(second->weights);
}

TEST_F(StreamOutboxTest, FinishedItDrains) {
  PullZero();
  outbox_->Finish();

  EXPECT_TRUE(outbox_->Next().has_value());
  EXPECT_FALSE(outbox_->Next().has_value());
}

TEST_F(StreamOutboxTest, ClosedItLetsGoOfEverythingAndWakesWhoWaits) {
  for (size_t i = 0; i < StreamOutbox::kSmallFramesMax; ++i) ASSERT_TRUE(outbox_->PushAck(Ack()));
  PullZero();
  bool pushed = true;
  {
    Thread blocked("blocked", [&] { pushed = outbox_->PushAck(Ack()); });
    outbox_->Close();
  }

  EXPECT_FALSE(pushed);
  EXPECT_FALSE(outbox_->Next().has_value());
  EXPECT_EQ(publisher_.CancelReadersBefore(1), 0u);
}

TEST_F(StreamOutboxTest, CancelIsCalledOnceAndNeverAfterDetach) {
  outbox_->Cancel();
  outbox_->Cancel();
  EXPECT_EQ(cancels_, 1);

  const auto other = std::make_shared<StreamOutbox>([this] { ++cancels_; });
  other->Detach();
  other->Cancel();
  EXPECT_EQ(cancels_, 1);
}

}  // namespace
}  // namespace drover
