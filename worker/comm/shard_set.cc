#include "worker/comm/shard_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace drover {
namespace {

std::vector<BlockRange> PartsOf(const std::vector<ShardSet::Shard>& shards) {
  std::vector<BlockRange> parts;
  for (const ShardSet::Shard& shard : shards) parts.push_back(shard.blocks);
  return parts;
}

Status CheckCover(const Layout& layout, const std::vector<ShardSet::Shard>& shards) {
  std::vector<BlockRange> parts = PartsOf(shards);
  std::sort(parts.begin(), parts.end());
  uint32_t covered = 0;
  for (const BlockRange& part : parts) {
    if (part.begin != covered || part.end <= part.begin) break;
    covered = part.end;
  }
  if (!parts.empty() && covered == parts.back().end && covered == layout.block_count()) {
    return Status();
  }
  return Status(Code::kInvalidArgument,
                fmt::format("the assignment's {} shards do not hold each of the model's {} blocks "
                            "once; from block {} on it is wrong",
                            shards.size(), layout.block_count(), covered));
}

}  // namespace

Result<std::shared_ptr<ShardSet>> ShardSet::Connect(Options options) {
  DROVER_RETURN_IF_ERROR(CheckCover(*options.layout, options.shards));
  return std::shared_ptr<ShardSet>(new ShardSet(std::move(options)));
}

ShardSet::ShardSet(Options options)
    : options_(std::move(options)),
      chunks_(std::make_shared<const ChunkMap>(*options_.layout, PartsOf(options_.shards))),
      inbox_(options_.layout, chunks_, options_.pool, options_.epoch, options_.on_weights) {
  for (size_t part = 0; part < options_.shards.size(); ++part) {
    links_.push_back(std::make_unique<ShardLink>(LinkOptions(part)));
  }
}

ShardSet::~ShardSet() { Close(); }

void ShardSet::Close() {
  EndPushes();
  for (const auto& link : links_) link->Close();
}

ShardLink::Options ShardSet::LinkOptions(size_t part) {
  const Shard& shard = options_.shards[part];
  ShardLink::Options link;
  link.address = shard.address;
  link.shard = shard.name;
  link.worker = options_.worker;
  link.security = options_.security;
  link.token = options_.token;
  link.job = options_.job;
  link.epoch = options_.epoch;
  link.layout_hash = options_.layout->hash();
  link.on_ack = [this, part](const FrameHeader& ack) { OnAck(part, ack); };
  link.on_weights = [this, part](const ReceivedFrame& frame) { return OnWeights(part, frame); };
  link.on_gone = [this](int64_t current) {
    inbox_.MarkGone(current);
    options_.on_change();
  };
  link.on_foreign = [this](const std::string& why) { OnForeign(why); };
  link.on_sent = options_.on_sent;
  link.on_retry = options_.on_retry;
  return link;
}

void ShardSet::OnAck(size_t part, const FrameHeader& ack) {
  std::shared_ptr<AckReceiver> receiver;
  {
    MutexLock lock(&mutex_);
    receiver = receiver_;
  }
  if (receiver != nullptr) receiver->OnAck(part, ack);
}

WeightsInbox::Arrival ShardSet::OnWeights(size_t part, const ReceivedFrame& frame) {
  if (options_.on_received != nullptr) options_.on_received(frame.header());
  const WeightsInbox::Arrival arrival = inbox_.Receive(part, frame);
  if (arrival == WeightsInbox::Arrival::kComplete) options_.on_change();
  return arrival;
}

void ShardSet::OnForeign(const std::string& why) {
  {
    MutexLock lock(&mutex_);
    if (foreign_.empty()) foreign_ = why;
  }
  options_.on_change();
}

std::string ShardSet::foreign() const {
  MutexLock lock(&mutex_);
  return foreign_;
}

void ShardSet::SetToken(const std::string& token) {
  for (const auto& link : links_) link->SetToken(token);
}

void ShardSet::Pull(int64_t version) {
  inbox_.Expect(version);
  for (const auto& link : links_) link->Pull(version);
}

void ShardSet::BeginPushes(std::shared_ptr<AckReceiver> receiver) {
  MutexLock lock(&mutex_);
  receiver_.swap(receiver);
}

void ShardSet::Push(size_t part, const FrameHeader& header, grpc::ByteBuffer frame) {
  links_[part]->Push(header, std::move(frame));
}

void ShardSet::EndPushes() {
  BeginPushes(nullptr);
  for (const auto& link : links_) link->ForgetPushes();
}

}  // namespace drover
