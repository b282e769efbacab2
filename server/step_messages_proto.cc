#include "server/step_messages_proto.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "common/base/quote.h"
#include "common/rpc/layout_proto.h"
#include "common/tensor/fixed_point.h"
#include "common/tensor/leaf_set.h"
#include "common/tls/job_token.h"
#include "server/optim/step_scalars.h"
#include "server/spec.h"

namespace drover {

Status BadMessage(const char* what, const std::string& detail) {
  return Status(Code::kInvalidArgument, fmt::format("{}: {}", what, detail));
}

namespace {

Status CheckPath(const char* what, const std::string& path, bool may_be_empty) {
  if (path.empty() && !may_be_empty) return BadMessage(what, "the folder is empty");
  if (path.size() > kPathBytesMax || path.find('\0') != std::string::npos) {
    return BadMessage(what, fmt::format("folder {}: expected at most {} bytes, none of them zero",
                                        Quote(path), kPathBytesMax));
  }
  return Status();
}

template <typename Message>
void FenceToProto(const Fence& fence, Message* out) {
  out->set_job(fence.job);
  out->set_epoch(fence.epoch);
  out->set_step(fence.step);
}

// Message: v1::Measure or v1::Commit.
template <typename Message>
void NumbersToProto(const UpdateNumbers& numbers, Message* out) {
  for (const StepScalars& group : numbers.groups) {
    const auto floats = ToFloats(group);
    out->add_groups()->mutable_values()->Add(floats.begin(), floats.end());
  }
  out->mutable_tensor_groups()->Add(numbers.tensor_groups.begin(), numbers.tensor_groups.end());
}

template <typename Message>
Result<UpdateNumbers> NumbersFromProto(const char* what, const Message& message) {
  const size_t groups = static_cast<size_t>(message.groups_size());
  if (groups == 0 || groups > kUpdateGroupsMax) {
    return BadMessage(what, fmt::format("{} groups, expected 1 to {}", groups, kUpdateGroupsMax));
  }
  const size_t tensors = static_cast<size_t>(message.tensor_groups_size());
  if (tensors == 0 || tensors > kLayoutTensorsMax) {
    return BadMessage(what,
                      fmt::format("{} tensors, expected 1 to {}", tensors, kLayoutTensorsMax));
  }
  UpdateNumbers numbers;
  numbers.groups.reserve(groups);
  for (const v1::StepScalars& group : message.groups()) {
    Result<StepScalars> scalars = StepScalarsFromFloats(
        std::span(group.values().data(), static_cast<size_t>(group.values_size())));
    if (!scalars.ok()) return scalars.status().Annotate(what);
    numbers.groups.push_back(scalars.value());
  }
  numbers.tensor_groups.assign(message.tensor_groups().begin(), message.tensor_groups().end());
  for (const uint32_t group : numbers.tensor_groups) {
    if (group >= groups) return BadMessage(what, fmt::format("group {} of {}", group, groups));
  }
  return numbers;
}

v1::LookaheadStep LookaheadToProto(const LookaheadStep& step) {
  v1::LookaheadStep out;
  out.set_begin(step.begin);
  out.set_sync(step.sync);
  out.set_keep(step.keep);
  out.set_gain(step.gain);
  out.set_ahead(step.ahead);
  return out;
}

Result<LookaheadStep> LookaheadFromProto(const v1::LookaheadStep& message) {
  for (const float share : {message.keep(), message.gain(), message.ahead()}) {
    // Negated on purpose: a NaN is refused.
    if (!(share >= 0.0f && share <= 1.0f)) {
      return BadMessage("Commit",
                        fmt::format("lookahead with a share of {}, expected 0 to 1", share));
    }
  }
  return LookaheadStep{message.begin(), message.sync(), message.keep(), message.gain(),
                       message.ahead()};
}

v1::Place PlaceToProto(const PlaceOrder& order) {
  v1::Place out;
  out.set_job(order.job);
  out.set_epoch(order.epoch);
  out.set_shard_index(order.shard_index);
  out.set_shard_count(order.shard_count);
  if (order.layout != nullptr) *out.mutable_layout() = LayoutToProto(*order.layout);
  out.set_block_begin(order.blocks.begin);
  out.set_block_end(order.blocks.end);
  for (const StepShape& shape : order.shapes) {
    v1::StepShape* const added = out.add_shapes();
    added->set_first_step(shape.first_step);
    added->set_leaves(shape.leaves);
    added->set_batch(shape.batch);
  }
  out.set_fraction_bits(static_cast<uint32_t>(order.fraction_bits));
  out.set_seed(order.seed);
  out.set_rule(order.rule.name());
  out.set_checkpoint(order.origin.checkpoint);
  out.set_checkpoint_version(order.origin.version);
  out.set_discard(order.discard);
  out.set_publish_bf16(order.publish_bf16);
  out.set_token_key(order.token_key);
  return out;
}

Status CheckShapes(const v1::Place& message) {
  if (message.shapes_size() < 1 || message.shapes_size() > kPhasesMax) {
    return BadMessage(
        "Place", fmt::format("{} shapes, expected 1 to {}", message.shapes_size(), kPhasesMax));
  }
  int64_t next = 0;
  for (const v1::StepShape& shape : message.shapes()) {
    const bool first = &shape == &message.shapes(0);
    if (first ? shape.first_step() != 0 : shape.first_step() < next) {
      return BadMessage("Place",
                        fmt::format("a shape from step {}, expected {}", shape.first_step(),
                                    first ? "0" : fmt::format("{} or more", next)));
    }
    next = shape.first_step() + 1;
    if (shape.leaves() < 1 || shape.leaves() > kLeavesMax) {
      return BadMessage("Place",
                        fmt::format("leaves={}, expected 1 to {}", shape.leaves(), kLeavesMax));
    }
    if (shape.batch() < 1 || shape.batch() > kBatchMax || shape.batch() % shape.leaves() != 0) {
      return BadMessage("Place", fmt::format("batch={}, expected a multiple of leaves={} up to {}",
                                             shape.batch(), shape.leaves(), kBatchMax));
    }
  }
  return Status();
}

Status CheckPlaceNumbers(const v1::Place& message) {
  if (message.shard_count() > kCountMax || message.shard_index() >= message.shard_count()) {
    return BadMessage("Place",
                      fmt::format("shard {} of {}", message.shard_index(), message.shard_count()));
  }
  DROVER_RETURN_IF_ERROR(CheckShapes(message));
  int64_t batch_max = 1;
  for (const v1::StepShape& shape : message.shapes()) {
    batch_max = std::max<int64_t>(batch_max, shape.batch());
  }
  const int fraction_bits_max = DefaultFractionBits(batch_max);
  if (message.fraction_bits() < static_cast<uint32_t>(kFractionBitsMin) ||
      message.fraction_bits() > static_cast<uint32_t>(fraction_bits_max)) {
    return BadMessage("Place",
                      fmt::format("fraction_bits={}, expected {} to {}", message.fraction_bits(),
                                  kFractionBitsMin, fraction_bits_max));
  }
  if (message.token_key().size() != kJobKeyBytes) {
    return BadMessage("Place",
                      fmt::format("a token key of {} bytes, expected {}: run the same release "
                                  "everywhere",
                                  message.token_key().size(), kJobKeyBytes));
  }
  return CheckPath("Place", message.checkpoint(), /*may_be_empty=*/true);
}

Result<ShardOrder> PlaceFromProto(const v1::Place& message) {
  DROVER_RETURN_IF_ERROR(CheckPlaceNumbers(message));
  Result<Fence> fence =
      FenceFromProto(message.job(), message.epoch(), message.checkpoint_version(), "Place");
  if (!fence.ok()) return fence.status();
  Result<Layout> layout = LayoutFromProto(message.layout());
  if (!layout.ok()) return layout.status().Annotate("Place");
  const BlockRange blocks = {message.block_begin(), message.block_end()};
  if (blocks.begin > blocks.end || blocks.end > layout.value().block_count()) {
    return BadMessage("Place", fmt::format("blocks [{}, {}) of {}", blocks.begin, blocks.end,
                                           layout.value().block_count()));
  }
  const std::optional<RuleState> rule = FindRuleState(message.rule());
  if (!rule) {
    return BadMessage("Place",
                      fmt::format("rule {} is not known here: run the same release everywhere",
                                  Quote(message.rule())));
  }
  PlaceOrder order;
  order.job = message.job();
  order.epoch = message.epoch();
  order.shard_index = message.shard_index();
  order.shard_count = message.shard_count();
  order.layout = std::make_shared<const Layout>(std::move(layout).value());
  order.blocks = blocks;
  for (const v1::StepShape& shape : message.shapes()) {
    order.shapes.push_back({shape.first_step(), shape.leaves(), shape.batch()});
  }
  order.fraction_bits = static_cast<int>(message.fraction_bits());
  order.seed = message.seed();
  order.rule = *rule;
  order.origin = {message.checkpoint(), message.checkpoint_version()};
  order.discard = message.discard();
  order.publish_bf16 = message.publish_bf16();
  order.token_key = message.token_key();
  return ShardOrder(std::move(order));
}

Result<ShardOrder> MeasureFromProto(const v1::Measure& message) {
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.step(), "Measure");
  if (!fence.ok()) return fence.status();
  Result<UpdateNumbers> numbers = NumbersFromProto("Measure", message);
  if (!numbers.ok()) return numbers.status();
  return ShardOrder(MeasureOrder{fence.value(), std::move(numbers).value()});
}

Result<ShardOrder> WriteCheckpointFromProto(const v1::WriteCheckpoint& message) {
  Result<Fence> fence =
      FenceFromProto(message.job(), message.epoch(), message.version(), "WriteCheckpoint");
  if (!fence.ok()) return fence.status();
  DROVER_RETURN_IF_ERROR(CheckPath("WriteCheckpoint", message.directory(), /*may_be_empty=*/false));
  return ShardOrder(WriteCheckpointOrder{fence.value(), message.directory()});
}

struct OrderWriter {
  v1::ShardOrder* out;

  void operator()(const PlaceOrder& order) const { *out->mutable_place() = PlaceToProto(order); }
  void operator()(const MeasureOrder& order) const {
    FenceToProto(order.fence, out->mutable_measure());
    NumbersToProto(order.numbers, out->mutable_measure());
  }
  void operator()(const CommitOrder& order) const { *out->mutable_commit() = CommitToProto(order); }
  void operator()(const StableOrder& order) const {
    FenceToProto(order.fence, out->mutable_stable());
  }
  void operator()(const WriteCheckpointOrder& order) const {
    v1::WriteCheckpoint* message = out->mutable_write_checkpoint();
    message->set_job(order.fence.job);
    message->set_epoch(order.fence.epoch);
    message->set_version(order.fence.step);
    message->set_directory(order.directory);
  }
  void operator()(const ReleaseOrder& order) const { out->mutable_release()->set_job(order.job); }
};

}  // namespace

Result<Fence> FenceFromProto(uint64_t job, uint32_t epoch, int64_t step, const char* what) {
  if (job == 0) return BadMessage(what, "job is 0");
  if (epoch == 0) return BadMessage(what, "epoch is 0");
  if (step < 0 || step > kStepMax) {
    return BadMessage(what, fmt::format("step or version is {}, expected 0 to {}", step, kStepMax));
  }
  return Fence{job, epoch, step};
}

Status CheckPeerName(const std::string& name) {
  const bool fits = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  if (fits && !name.empty() && name.size() <= 63) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("name {}: expected 1 to 63 of A-Z a-z 0-9 _ . -", Quote(name)));
}

std::string PeerText(const std::string& text) {
  std::string out = text.substr(0, kPeerTextBytesMax);
  // Not in the middle of a UTF-8 character: protobuf would refuse to send it on.
  if (out.size() < text.size()) {
    size_t end = out.size();
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    out.resize(end);
  }
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return out;
}

v1::Commit CommitToProto(const CommitOrder& order) {
  v1::Commit out;
  FenceToProto(order.fence, &out);
  out.set_skip(order.skip);
  NumbersToProto(order.numbers, &out);
  out.mutable_tensor_scales()->Add(order.numbers.tensor_scales.begin(),
                                   order.numbers.tensor_scales.end());
  if (order.numbers.lookahead != LookaheadStep()) {
    *out.mutable_lookahead() = LookaheadToProto(order.numbers.lookahead);
  }
  return out;
}

Result<CommitOrder> CommitFromProto(const v1::Commit& message) {
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.step(), "Commit");
  if (!fence.ok()) return fence.status();
  CommitOrder order;
  order.fence = fence.value();
  order.skip = message.skip();
  // What a skipped step would have used is nobody's business.
  if (order.skip) return order;
  Result<UpdateNumbers> numbers = NumbersFromProto("Commit", message);
  if (!numbers.ok()) return numbers.status();
  order.numbers = std::move(numbers).value();
  const Result<LookaheadStep> lookahead = LookaheadFromProto(message.lookahead());
  if (!lookahead.ok()) return lookahead.status();
  order.numbers.lookahead = lookahead.value();
  if (message.tensor_scales_size() != message.tensor_groups_size()) {
    return BadMessage("Commit",
                      fmt::format("{} scales for {} tensors", message.tensor_scales_size(),
                                  message.tensor_groups_size()));
  }
  order.numbers.tensor_scales.assign(message.tensor_scales().begin(),
                                     message.tensor_scales().end());
  for (const float scale : order.numbers.tensor_scales) {
    if (!std::isfinite(scale)) return BadMessage("Commit", "a tensor's scale is not finite");
  }
  return order;
}

v1::ShardOrder OrderToProto(const ShardOrder& order) {
  v1::ShardOrder out;
  std::visit(OrderWriter{&out}, order);
  return out;
}

Result<ShardOrder> OrderFromProto(const v1::ShardOrder& message) {
  switch (message.kind_case()) {
    case v1::ShardOrder::kPlace:
      return PlaceFromProto(message.place());
    case v1::ShardOrder::kMeasure:
      return MeasureFromProto(message.measure());
    case v1::ShardOrder::kCommit: {
      Result<CommitOrder> order = CommitFromProto(message.commit());
      if (!order.ok()) return order.status();
      return ShardOrder(std::move(order).value());
    }
    case v1::ShardOrder::kStable: {
      const v1::Stable& stable = message.stable();
      Result<Fence> fence = FenceFromProto(stable.job(), stable.epoch(), stable.step(), "Stable");
      if (!fence.ok()) return fence.status();
      return ShardOrder(StableOrder{fence.value()});
    }
    case v1::ShardOrder::kWriteCheckpoint:
      return WriteCheckpointFromProto(message.write_checkpoint());
    case v1::ShardOrder::kRelease:
      if (message.release().job() == 0) return BadMessage("Release", "job is 0");
      return ShardOrder(ReleaseOrder{message.release().job()});
    case v1::ShardOrder::KIND_NOT_SET:
      break;
  }
  return BadMessage("ShardOrder", "no kind that is known here: run the same release everywhere");
}

}  // namespace drover
