#include "server/coordinator/worker_messages_proto.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "common/base/quote.h"
#include "common/rpc/layout_proto.h"
#include "common/tensor/leaf_set.h"
#include "server/spec.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

using MaybeEvent = Result<std::optional<CoordinatorEvent>>;

bool IsNumericClass(const std::string& text) {
  return text.size() <= kNumericClassBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

MaybeEvent DescribedFromProto(SessionId session, const v1::DescribeModel& message) {
  const char* what = "DescribeModel";
  // Epoch 0 is right here: shards are placed only after the model has been described.
  if (message.job() == 0) return BadMessage(what, "job is 0");
  ModelDescribed event = {session,
                          message.job(),
                          message.epoch(),
                          nullptr,
                          message.train_samples(),
                          message.eval_samples(),
                          PeerText(message.error()),
                          {message.train_fingerprint(), message.eval_fingerprint()},
                          PeerText(message.dataset()),
                          message.numeric_class(),
                          message.lanes()};
  if (!event.numeric_class.empty() && !IsNumericClass(event.numeric_class)) {
    return BadMessage(what,
                      fmt::format("numeric class {}: expected at most {} printable characters",
                                  Quote(event.numeric_class), kNumericClassBytesMax));
  }
  if (event.lanes > kLanesMax) {
    return BadMessage(what, fmt::format("lanes={}, expected at most {}", event.lanes, kLanesMax));
  }
  if (event.error.empty() && !(message.has_train_fingerprint() && message.has_eval_fingerprint())) {
    event.error = "it sends no fingerprint of its data: run the same release everywhere";
  }
  if (!event.error.empty()) return std::optional<CoordinatorEvent>(std::move(event));
  Result<Layout> layout = LayoutFromProto(message.layout());
  if (!layout.ok()) return layout.status().Annotate(what);
  if (layout.value().parameter_count() > static_cast<uint64_t>(kParametersMax)) {
    return BadMessage(what, fmt::format("{} parameters, expected at most {}",
                                        layout.value().parameter_count(), kParametersMax));
  }
  if (event.train_samples < 1 || event.train_samples > kSamplesMax || event.eval_samples < 0 ||
      event.eval_samples > kSamplesMax) {
    return BadMessage(
        what, fmt::format("{} samples to train on and {} to evaluate, expected 1 or 0 to {}",
                          event.train_samples, event.eval_samples, kSamplesMax));
  }
  event.layout = std::make_shared<const Layout>(std::move(layout).value());
  return std::optional<CoordinatorEvent>(std::move(event));
}

MaybeEvent RequestFromProto(SessionId session, const v1::WorkRequest& message) {
  Result<Fence> fence =
      FenceFromProto(message.job(), message.epoch(), message.version(), "WorkRequest");
  if (!fence.ok()) return fence.status();
  return std::optional<CoordinatorEvent>(WorkRequested{session, fence.value()});
}

MaybeEvent DoneFromProto(SessionId session, const v1::LeaseDone& message) {
  Result<Fence> fence = FenceFromProto(message.job(), message.epoch(), message.step(), "LeaseDone");
  if (!fence.ok()) return fence.status();
  if (!(message.seconds() >= 0 && message.seconds() <= kLeaseSecondsMax)) {
    return BadMessage("LeaseDone", fmt::format("seconds={}, expected 0 to {}", message.seconds(),
                                               kLeaseSecondsMax));
  }
  return std::optional<CoordinatorEvent>(
      LeaseDone{session, fence.value(), message.lease(), message.seconds()});
}

MaybeEvent EvalFromProto(SessionId session, const v1::EvalDone& message) {
  Result<Fence> fence =
      FenceFromProto(message.job(), message.epoch(), message.version(), "EvalDone");
  if (!fence.ok()) return fence.status();
  if (message.samples() < 0 || message.samples() > kSamplesMax || message.correct() < 0 ||
      message.correct() > message.samples()) {
    return BadMessage(
        "EvalDone", fmt::format("{} of {} samples correct", message.correct(), message.samples()));
  }
  if (message.masked_tokens() < 0 || message.masked_tokens() > kSamplesMax ||
      message.masked_correct() < 0 || message.masked_correct() > message.masked_tokens()) {
    return BadMessage("EvalDone", fmt::format("{} of {} masked tokens correct",
                                              message.masked_correct(), message.masked_tokens()));
  }
  return std::optional<CoordinatorEvent>(
      EvalDone{session, fence.value(), message.lease(), message.loss_fixed(), message.correct(),
               message.samples(), message.masked_loss_fixed(), message.masked_tokens(),
               message.masked_correct()});
}

MaybeEvent FailedFromProto(SessionId session, const v1::LeaseFailed& message) {
  Result<Fence> fence =
      FenceFromProto(message.job(), message.epoch(), message.step(), "LeaseFailed");
  if (!fence.ok()) return fence.status();
  if (message.leaf() >= kLeavesMax) {
    return BadMessage("LeaseFailed",
                      fmt::format("leaf {}, expected less than {}", message.leaf(), kLeavesMax));
  }
  return std::optional<CoordinatorEvent>(LeaseFailed{session, fence.value(), message.lease(),
                                                     message.leaf(), PeerText(message.tensor()),
                                                     PeerText(message.what())});
}

MaybeEvent ReturnedFromProto(SessionId session, const v1::LeaseReturned& message) {
  Result<Fence> fence =
      FenceFromProto(message.job(), message.epoch(), message.step(), "LeaseReturned");
  if (!fence.ok()) return fence.status();
  if (message.leaf_begin() >= kLeavesMax) {
    return BadMessage("LeaseReturned", fmt::format("leaf_begin={}, expected less than {}",
                                                   message.leaf_begin(), kLeavesMax));
  }
  return std::optional<CoordinatorEvent>(
      LeaseReturned{session, fence.value(), message.lease(), message.leaf_begin()});
}

struct OrderWriter {
  const v1::JobSpec* spec;
  const std::string& token;
  v1::WorkerOrder* out;

  void operator()(const AssignmentOrder& order) const {
    v1::Assignment* message = out->mutable_assignment();
    message->set_job(order.job);
    message->set_epoch(order.epoch);
    if (spec != nullptr) *message->mutable_spec() = *spec;
    for (const ShardEntry& shard : order.shards) {
      v1::ShardAddress* entry = message->add_shards();
      entry->set_index(shard.index);
      entry->set_name(shard.name);
      entry->set_address(shard.address);
      entry->set_incarnation(shard.incarnation);
      entry->set_block_begin(shard.blocks.begin);
      entry->set_block_end(shard.blocks.end);
    }
    message->set_version(order.version);
    message->set_token(token);
  }
  void operator()(const LeaseOrder& order) const {
    v1::Lease* message = out->mutable_lease();
    message->set_job(order.fence.job);
    message->set_epoch(order.fence.epoch);
    message->set_step(order.fence.step);
    message->set_lease(order.lease);
    message->set_leaf_begin(order.leaves.begin);
    message->set_leaf_end(order.leaves.end);
    message->set_timeout_ms(order.timeout_ms);
  }
  void operator()(const EvalLeaseOrder& order) const {
    v1::EvalLease* message = out->mutable_eval_lease();
    message->set_job(order.fence.job);
    message->set_epoch(order.fence.epoch);
    message->set_version(order.fence.step);
    message->set_lease(order.lease);
    message->set_sample_begin(order.sample_begin);
    message->set_sample_end(order.sample_end);
    message->set_timeout_ms(order.timeout_ms);
  }
  void operator()(const PullOrder& order) const {
    v1::PullVersion* message = out->mutable_pull();
    message->set_job(order.fence.job);
    message->set_epoch(order.fence.epoch);
    message->set_version(order.fence.step);
  }
  void operator()(const UnassignOrder& order) const { out->mutable_unassign()->set_job(order.job); }
};

}  // namespace

Result<WorkerJoined> JoinedFromProto(SessionId session, const v1::WorkerMessage& message) {
  const char* what = "RegisterWorker";
  if (!message.has_register_())
    return BadMessage(what, "expected as the first message of a stream");
  const v1::RegisterWorker& joined = message.register_();
  DROVER_RETURN_IF_ERROR(CheckPeerName(joined.name()).Annotate(what));
  if (!IsNumericClass(joined.numeric_class())) {
    return BadMessage(what,
                      fmt::format("numeric class {}: expected at most {} printable characters",
                                  Quote(joined.numeric_class()), kNumericClassBytesMax));
  }
  if (joined.lanes() < 1 || joined.lanes() > kLanesMax) {
    return BadMessage(what, fmt::format("lanes={}, expected 1 to {}", joined.lanes(), kLanesMax));
  }
  return WorkerJoined{session, joined.name(), joined.numeric_class(), joined.lanes()};
}

MaybeEvent WorkerEventFromProto(SessionId session, const v1::WorkerMessage& message) {
  switch (message.kind_case()) {
    case v1::WorkerMessage::kDescribe:
      return DescribedFromProto(session, message.describe());
    case v1::WorkerMessage::kWorkRequest:
      return RequestFromProto(session, message.work_request());
    case v1::WorkerMessage::kLeaseDone:
      return DoneFromProto(session, message.lease_done());
    case v1::WorkerMessage::kEvalDone:
      return EvalFromProto(session, message.eval_done());
    case v1::WorkerMessage::kLeaseFailed:
      return FailedFromProto(session, message.lease_failed());
    case v1::WorkerMessage::kLeaseReturned:
      return ReturnedFromProto(session, message.lease_returned());
    case v1::WorkerMessage::kHeartbeat:
      return std::optional<CoordinatorEvent>();
    case v1::WorkerMessage::kLeaving:
      return std::optional<CoordinatorEvent>(WorkerLeaving{session});
    case v1::WorkerMessage::kRegister:
      return BadMessage("WorkerMessage", "a second RegisterWorker on one stream");
    case v1::WorkerMessage::KIND_NOT_SET:
      break;
  }
  return BadMessage("WorkerMessage", "no kind that is known here: run the same release everywhere");
}

v1::WorkerOrder WorkerOrderToProto(const WorkerOrder& order, const v1::JobSpec* spec,
                                   const std::string& token) {
  v1::WorkerOrder out;
  std::visit(OrderWriter{spec, token, &out}, order);
  return out;
}

}  // namespace drover
