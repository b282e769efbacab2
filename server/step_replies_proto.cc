// The half of step_messages_proto.h that shards say and the coordinator believes only after checks.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/quote.h"
#include "common/tensor/leaf_set.h"
#include "server/spec.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

constexpr int kLeafWordsMax = kLeavesMax / 64;
constexpr size_t kFileNameBytesMax = 100;
constexpr size_t kXxh3Digits = 32;
constexpr double kSecondsMax = 1e6;

Status CheckCount(const char* what, const char* field, int64_t count) {
  if (count >= 0 && count <= kCountMax) return Status();
  return BadMessage(what, fmt::format("{}={}, expected 0 to {}", field, count, kCountMax));
}

bool IsFileName(const std::string& name) {
  if (name.empty() || name.size() > kFileNameBytesMax || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

bool IsXxh3(const std::string& hash) {
  return hash.size() == kXxh3Digits && std::all_of(hash.begin(), hash.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<ShardReply> PlacedFromProto(const v1::Placed& message) {
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.version(), "Placed");
  if (!fence.ok()) return fence.status();
  if (message.leaves_size() > kLeafWordsMax) {
    return BadMessage("Placed", fmt::format("{} words of leaves, expected at most {}",
                                            message.leaves_size(), kLeafWordsMax));
  }
  PlacedReply reply;
  reply.fence = fence.value();
  reply.prepared = message.prepared();
  reply.leaves.assign(message.leaves().begin(), message.leaves().end());
  reply.error = PeerText(message.error());
  return ShardReply(std::move(reply));
}

Status CheckStats(const v1::LeafStats& stats) {
  if (stats.samples() < 0 || stats.samples() > kBatchMax || stats.correct() < 0 ||
      stats.correct() > stats.samples()) {
    return BadMessage("Prepared",
                      fmt::format("{} of {} samples correct, expected at most {} samples",
                                  stats.correct(), stats.samples(), kBatchMax));
  }
  return Status();
}

Result<ShardReply> PreparedFromProto(const v1::Prepared& message) {
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.step(), "Prepared");
  if (!fence.ok()) return fence.status();
  DROVER_RETURN_IF_ERROR(CheckStats(message.stats()));
  DROVER_RETURN_IF_ERROR(CheckCount("Prepared", "tokens", message.stats().tokens()));
  DROVER_RETURN_IF_ERROR(CheckCount("Prepared", "leaf_chunks", message.leaf_chunks()));
  DROVER_RETURN_IF_ERROR(CheckCount("Prepared", "duplicates", message.duplicates()));
  DROVER_RETURN_IF_ERROR(CheckCount("Prepared", "refused", message.refused()));
  // Negated on purpose: a NaN is refused.
  if (!(message.seconds() >= 0.0 && message.seconds() <= kSecondsMax)) {
    return BadMessage("Prepared",
                      fmt::format("seconds={}, expected 0 to {}", message.seconds(), kSecondsMax));
  }
  PreparedReply reply;
  reply.fence = fence.value();
  reply.stats = {message.stats().loss_fixed(),
                 message.stats().correct(),
                 message.stats().samples(),
                 message.stats().tokens(),
                 {message.stats().square_high(), message.stats().square_low()}};
  reply.gradient_squares.assign(message.gradient_squares().begin(),
                                message.gradient_squares().end());
  reply.leaf_chunks = message.leaf_chunks();
  reply.duplicates = message.duplicates();
  reply.refused = message.refused();
  reply.seconds = message.seconds();
  return ShardReply(std::move(reply));
}

Result<ShardReply> MeasuredFromProto(const v1::Measured& message) {
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.step(), "Measured");
  if (!fence.ok()) return fence.status();
  if (message.weight_squares_size() != message.direction_squares_size()) {
    return BadMessage("Measured",
                      fmt::format("{} sums of weights but {} of directions",
                                  message.weight_squares_size(), message.direction_squares_size()));
  }
  MeasuredReply reply;
  reply.fence = fence.value();
  reply.weight_squares.assign(message.weight_squares().begin(), message.weight_squares().end());
  reply.direction_squares.assign(message.direction_squares().begin(),
                                 message.direction_squares().end());
  return ShardReply(std::move(reply));
}

Result<ShardReply> WrittenFromProto(const v1::CheckpointWritten& message) {
  const char* what = "CheckpointWritten";
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.version(), what);
  if (!fence.ok()) return fence.status();
  CheckpointWrittenReply reply;
  reply.fence = fence.value();
  reply.error = PeerText(message.error());
  if (!reply.error.empty()) return ShardReply(std::move(reply));
  if (!IsFileName(message.file())) {
    return BadMessage(what,
                      fmt::format("file {}: expected 1 to {} of A-Z a-z 0-9 _ . - and no leading "
                                  "dot",
                                  Quote(message.file()), kFileNameBytesMax));
  }
  if (!IsXxh3(message.xxh3())) {
    return BadMessage(what, fmt::format("xxh3 {}: expected {} hexadecimal digits",
                                        Quote(message.xxh3()), kXxh3Digits));
  }
  DROVER_RETURN_IF_ERROR(CheckCount(what, "bytes", message.bytes()));
  reply.file = message.file();
  reply.bytes = message.bytes();
  reply.xxh3 = message.xxh3();
  return ShardReply(std::move(reply));
}

struct ReplyWriter {
  v1::ShardMessage* out;

  void operator()(const PlacedReply& reply) const {
    v1::Placed* message = out->mutable_placed();
    message->set_job(reply.fence.job);
    message->set_epoch(reply.fence.epoch);
    message->set_version(reply.fence.step);
    message->set_prepared(reply.prepared);
    message->mutable_leaves()->Add(reply.leaves.begin(), reply.leaves.end());
    message->set_error(reply.error);
  }
  void operator()(const PreparedReply& reply) const {
    v1::Prepared* message = out->mutable_prepared();
    message->set_job(reply.fence.job);
    message->set_epoch(reply.fence.epoch);
    message->set_step(reply.fence.step);
    message->mutable_stats()->set_loss_fixed(reply.stats.loss_fixed);
    message->mutable_stats()->set_correct(reply.stats.correct);
    message->mutable_stats()->set_samples(reply.stats.samples);
    message->mutable_stats()->set_tokens(reply.stats.tokens);
    message->mutable_stats()->set_square_high(reply.stats.squares.high);
    message->mutable_stats()->set_square_low(reply.stats.squares.low);
    message->mutable_gradient_squares()->Add(reply.gradient_squares.begin(),
                                             reply.gradient_squares.end());
    message->set_leaf_chunks(reply.leaf_chunks);
    message->set_duplicates(reply.duplicates);
    message->set_refused(reply.refused);
    message->set_seconds(reply.seconds);
  }
  void operator()(const MeasuredReply& reply) const {
    v1::Measured* message = out->mutable_measured();
    message->set_job(reply.fence.job);
    message->set_epoch(reply.fence.epoch);
    message->set_step(reply.fence.step);
    message->mutable_weight_squares()->Add(reply.weight_squares.begin(),
                                           reply.weight_squares.end());
    message->mutable_direction_squares()->Add(reply.direction_squares.begin(),
                                              reply.direction_squares.end());
  }
  void operator()(const AppliedReply& reply) const {
    v1::Applied* message = out->mutable_applied();
    message->set_job(reply.fence.job);
    message->set_epoch(reply.fence.epoch);
    message->set_step(reply.fence.step);
  }
  void operator()(const CheckpointWrittenReply& reply) const {
    v1::CheckpointWritten* message = out->mutable_checkpoint_written();
    message->set_job(reply.fence.job);
    message->set_epoch(reply.fence.epoch);
    message->set_version(reply.fence.step);
    message->set_file(reply.file);
    message->set_bytes(reply.bytes);
    message->set_xxh3(reply.xxh3);
    message->set_error(reply.error);
  }
};

}  // namespace

v1::ShardMessage ReplyToProto(const ShardReply& reply) {
  v1::ShardMessage out;
  std::visit(ReplyWriter{&out}, reply);
  return out;
}

Result<ShardReply> ReplyFromProto(const v1::ShardMessage& message) {
  switch (message.kind_case()) {
    case v1::ShardMessage::kPlaced:
      return PlacedFromProto(message.placed());
    case v1::ShardMessage::kPrepared:
      return PreparedFromProto(message.prepared());
    case v1::ShardMessage::kMeasured:
      return MeasuredFromProto(message.measured());
    case v1::ShardMessage::kApplied: {
      const v1::Applied& applied = message.applied();
      Result<Fence> fence =
          FenceFromProto(applied.job(), applied.epoch(), applied.step(), "Applied");
      if (!fence.ok()) return fence.status();
      return ShardReply(AppliedReply{fence.value()});
    }
    case v1::ShardMessage::kCheckpointWritten:
      return WrittenFromProto(message.checkpoint_written());
    case v1::ShardMessage::kRegister:
      return BadMessage("ShardMessage", "a second RegisterShard on one stream");
    case v1::ShardMessage::kHeartbeat:
    case v1::ShardMessage::kLeaving:
      return BadMessage("ShardMessage", "a heartbeat or farewell where a reply is expected");
    case v1::ShardMessage::KIND_NOT_SET:
      break;
  }
  return BadMessage("ShardMessage", "no kind that is known here: run the same release everywhere");
}

}  // namespace drover
