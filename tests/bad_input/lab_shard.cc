#include "tests/bad_input/lab_shard.h"

#include <gtest/gtest.h>

#include <utility>

#include "common/rpc/tensor_stream.h"
#include "server/shard/shard_host.h"
#include "tests/bad_input/frames.h"

namespace drover::bad_input {

namespace {

// Every tensor begins a block, and a chunk has 16 of them. Of a multiple of kTensorAlignment
// elements, so that nothing lies between chunks.
std::shared_ptr<const Layout> LabLayout(int chunks) {
  std::vector<TensorSpec> tensors;
  for (int i = 0; i < 16 * chunks - 8; ++i) {
    tensors.push_back({"t" + std::to_string(i), {32}, {InitRule::Kind::kUniform, 0.5f}});
  }
  return std::make_shared<const Layout>(Layout::Make(std::move(tensors)).value());
}

}  // namespace

LabShard::LabShard(World* world, int chunks, bool place)
    : world_(world), layout_(LabLayout(chunks)), slow_(layout_) {
  driver_.Start();
  // One job is here, under whatever number it is placed.
  const auto find = [this](uint64_t) {
    return std::make_shared<HostedJob>(HostedJob{&driver_.metrics(), &driver_.runtime()});
  };
  server_ = std::make_unique<DataServer>(world, "lab-shard", find, &driver_.registry());
  if (place) Place(1);
}

LabShard::~LabShard() {
  driver_.runtime().Stop();
  server_.reset();
  world_->Keep(driver_.registry().Render());
}

void LabShard::Place(uint32_t epoch) { EXPECT_EQ(Place(SlowJobPlace(layout_, epoch)).error, ""); }

PlacedReply LabShard::Place(const PlaceOrder& order) {
  epoch_ = order.epoch;
  server_->OnOrder(order);
  return driver_.Place(order);
}

void LabShard::Release() {
  server_->OnOrder(ReleaseOrder{kSlowJobId});
  driver_.runtime().Post(ReleaseOrder{kSlowJobId});
}

void LabShard::FinishStep() {
  Pusher honest(*this, "honest");
  for (uint32_t leaf = 0; leaf < kSlowJobLeaves; ++leaf) {
    for (const SlowJobFrame& frame : Frames(leaf)) {
      const Verdict verdict = honest.Push(frame);
      EXPECT_FALSE(IsRefusal(verdict)) << VerdictName(verdict);
    }
  }
  driver_.Await<PreparedReply>();
  const CommitOrder order = SlowJobCommit(*layout_, step(), epoch_);
  driver_.runtime().Post(order);
  driver_.Await<AppliedReply>();
  slow_.Apply(order.numbers);
  EXPECT_EQ(driver_.Pull(*layout_, step(), epoch_), slow_.weights());
}

JobClaims SlowJobClaims(const std::string& name, uint32_t epoch) {
  const int64_t now_unix_s = Clock::Real().UnixMilliseconds() / 1000;
  return {kSlowJobId, epoch, kVerbPush | kVerbPull, now_unix_s + kJobTokenSeconds, name};
}

std::string SealSlowJobToken(const JobClaims& claims) {
  return SealJobToken(SlowJobPlace(SlowJobLayout()).token_key, claims);
}

Pusher::Pusher(LabShard& lab, const std::string& name)
    : client_(lab.server().As(name)),
      stream_(client_.Open(
          kExchange, {{kWorkerMetadata, name},
                      {kJobTokenMetadata, SealSlowJobToken(SlowJobClaims(name, lab.epoch()))}})) {
  FrameHeader hello;
  hello.type = FrameType::kHello;
  EXPECT_TRUE(Write(FrameBytes(hello, name)));
}

Verdict Pusher::Push(const FrameHeader& header, const std::string& payload) {
  EXPECT_TRUE(Write(FrameBytes(header, payload)));
  const FrameHeader answer = Read().first;
  EXPECT_EQ(answer.type, FrameType::kAck);
  return answer.verdict;
}

std::pair<FrameHeader, std::string> Pusher::Read() {
  const std::optional<std::string> bytes = stream_->Read();
  if (!bytes.has_value()) {
    ADD_FAILURE() << "the stream has ended: " << stream_->Finish().ToString();
    return {};
  }
  const Result<FrameHeader> header = DecodeFrameHeader(std::as_bytes(std::span(*bytes)));
  EXPECT_TRUE(header.ok()) << header.status().ToString();
  if (!header.ok()) return {};
  return {header.value(), bytes->substr(kFrameHeaderBytes)};
}

}  // namespace drover::bad_input
