#include "common/rpc/frame.h"

#include <gmock/gmock.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace drover {
namespace {

using testing::HasSubstr;

FrameHeader Header(FrameType type) {
  FrameHeader header;
  header.type = type;
  header.job = 7;
  header.epoch = 2;
  header.step = 9;
  return header;
}

std::string BytesOf(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(message.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// A message of these bytes, cut as the network might: `cuts` are the lengths of the first slices.
grpc::ByteBuffer Message(const std::string& bytes, const std::vector<size_t>& cuts = {}) {
  std::vector<grpc::Slice> slices;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    const size_t size = std::min(cut, bytes.size() - begin);
    slices.emplace_back(bytes.data() + begin, size);
    begin += size;
  }
  slices.emplace_back(bytes.data() + begin, bytes.size() - begin);
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string SmallFrameBytes(const std::string& payload) {
  return BytesOf(MakeSmallFrame(Header(FrameType::kHello), AsBytes(payload)));
}

TEST(FrameTest, SmallFrameComesBack) {
  const Result<ReceivedFrame> frame =
      ParseFrame(MakeSmallFrame(Header(FrameType::kHello), AsBytes("worker-1")));

  ASSERT_TRUE(frame.ok()) << frame.status().ToString();
  EXPECT_EQ(frame.value().header().type, FrameType::kHello);
  EXPECT_EQ(frame.value().header().payload_bytes, 8u);
  EXPECT_EQ(frame.value().PayloadText(), "worker-1");
  EXPECT_TRUE(frame.value().PayloadCrcMatches());
}

TEST(FrameTest, FrameWithoutPayloadComesBack) {
  const Result<ReceivedFrame> frame = ParseFrame(MakeSmallFrame(Header(FrameType::kPull)));

  ASSERT_TRUE(frame.ok());
  EXPECT_TRUE(frame.value().payload().empty());
  EXPECT_TRUE(frame.value().PayloadCrcMatches());
}

TEST(FrameTest, StaticFrameRefersToTheCallersMemory) {
  const std::string first(100000, 'a');
  const std::string second(50000, 'b');
  const ByteSpan payload[] = {AsBytes(first), AsBytes(second)};
  FrameHeader header = Header(FrameType::kWeights);
  header.payload_crc = PayloadCrc(payload);

  const grpc::ByteBuffer message = MakeStaticFrame(header, payload);

  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(message.Dump(&slices).ok());
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(static_cast<const void*>(slices[1].begin()), static_cast<const void*>(first.data()));
  EXPECT_EQ(static_cast<const void*>(slices[2].begin()), static_cast<const void*>(second.data()));
  const Result<ReceivedFrame> frame = ParseFrame(message);
  ASSERT_TRUE(frame.ok());
  EXPECT_TRUE(frame.value().PayloadCrcMatches());
  ASSERT_EQ(frame.value().payload().size(), 2u);
  EXPECT_EQ(frame.value().payload()[0].data(), AsBytes(first).data());
}

TEST(FrameTest, OwnedFrameHoldsItsMemoryUntilTheLastMessageIsGone) {
  auto owner = std::make_shared<const std::string>(100000, 'c');
  const ByteSpan payload[] = {AsBytes(*owner).first(40000), AsBytes(*owner).subspan(40000)};
  FrameHeader header = Header(FrameType::kWeights);

  auto message = std::make_unique<grpc::ByteBuffer>(MakeOwnedFrame(header, payload, owner));
  auto copy = std::make_unique<grpc::ByteBuffer>(*message);

  EXPECT_GT(owner.use_count(), 1);
  message.reset();
  EXPECT_GT(owner.use_count(), 1);
  copy.reset();
  EXPECT_EQ(owner.use_count(), 1);
}

TEST(FrameTest, HeaderAndPayloadMayBeCutAnywhere) {
  const std::string payload = "0123456789abcdefghijklmnopqrstuvwxyz";
  const std::string bytes = SmallFrameBytes(payload);
  for (size_t first = 0; first < bytes.size(); ++first) {
    for (const size_t second : {size_t{0}, size_t{1}, size_t{3}, size_t{64}}) {
      Result<ReceivedFrame> parsed = ParseFrame(Message(bytes, {first, second}));
      ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
      // Slices this small keep their bytes within themselves: a move must not lose them.
      const ReceivedFrame moved = std::move(parsed).value();
      EXPECT_EQ(moved.PayloadText(), payload);
      EXPECT_TRUE(moved.PayloadCrcMatches());
      for (const ByteSpan& span : moved.payload()) EXPECT_FALSE(span.empty());
    }
  }
}

TEST(FrameTest, RefusesEveryTruncationAndExtraBytes) {
  const std::string bytes = SmallFrameBytes("payload");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseFrame(Message(bytes.substr(0, size))).ok()) << size;
  }

  const Result<ReceivedFrame> longer = ParseFrame(Message(bytes + "x"));

  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(longer.status().message(), HasSubstr("8 bytes of payload came, its header says 7"));
}

TEST(FrameTest, RefusesAMessageWithoutBytes) {
  EXPECT_FALSE(ParseFrame(grpc::ByteBuffer()).ok());
  EXPECT_FALSE(ParseFrame(Message("")).ok());
}

TEST(FrameTest, DetectsEveryFlippedBit) {
  const std::string bytes = SmallFrameBytes("payload");
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const Result<ReceivedFrame> frame = ParseFrame(Message(flipped));
    EXPECT_FALSE(frame.ok() && frame.value().PayloadCrcMatches()) << "bit " << bit;
  }
}

TEST(FrameTest, SurvivesRandomMessages) {
  std::mt19937_64 random(3);
  const std::string valid = SmallFrameBytes(std::string(200, 'p'));
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = valid.substr(0, random() % (valid.size() + 1));
    bytes.append(random() % 10, static_cast<char>(random()));
    for (size_t k = random() % 4; k > 0 && !bytes.empty(); --k) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const Result<ReceivedFrame> frame = ParseFrame(Message(bytes, {random() % 80, random() % 80}));
    if (frame.ok()) {
      EXPECT_EQ(frame.value().PayloadText().size(), frame.value().header().payload_bytes);
    }
  }
}

TEST(FrameTest, CopiesAndChecksThePayloadInOnePass) {
  std::string payload(100000, '\0');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(i * 7);
  std::string bytes = SmallFrameBytes(payload);
  std::string copy(payload.size(), '\0');

  const Result<ReceivedFrame> whole = ParseFrame(Message(bytes, {100, 17, 30000}));
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE(whole.value().CopyPayload(std::as_writable_bytes(std::span(copy))));
  EXPECT_EQ(copy, payload);

  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const Result<ReceivedFrame> damaged = ParseFrame(Message(bytes, {100, 17, 30000}));
  ASSERT_TRUE(damaged.ok());
  EXPECT_FALSE(damaged.value().CopyPayload(std::as_writable_bytes(std::span(copy))));
}

TEST(FrameTest, ChecksumOfSpansIsThatOfTheWhole) {
  // RFC 3720 B.4: 32 zero bytes.
  const std::string zeros(32, '\0');
  const ByteSpan cut[] = {AsBytes(zeros).first(5), AsBytes(zeros).subspan(5)};

  EXPECT_EQ(PayloadCrc(cut), 0x8a9136aau);
  EXPECT_EQ(PayloadCrc({}), 0u);
}

}  // namespace
}  // namespace drover
