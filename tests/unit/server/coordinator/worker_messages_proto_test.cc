#include "server/coordinator/worker_messages_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "common/rpc/layout_proto.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

constexpr SessionId kSession = 5;

v1::WorkerMessage Register() {
  v1::WorkerMessage message;
  v1::RegisterWorker* joined = message.mutable_register_();
  joined->set_name("worker-0");
  joined->set_incarnation(9);
  joined->set_numeric_class("cpu onednn");
  joined->set_lanes(2);
  return message;
}

// A message of every later kind, as a healthy worker sends it.
v1::WorkerMessage Describe() {
  v1::WorkerMessage message;
  v1::DescribeModel* describe = message.mutable_describe();
  describe->set_job(1);
  *describe->mutable_layout() = LayoutToProto(*SmallLayout());
  describe->set_train_samples(60000);
  describe->set_eval_samples(10000);
  describe->set_train_fingerprint(0xabc);
  describe->set_eval_fingerprint(0xdef);
  describe->set_dataset("idx /data/\nmnist");
  return message;
}

template <typename Part>
v1::WorkerMessage Fenced(Part* (v1::WorkerMessage::*part)()) {
  v1::WorkerMessage message;
  (message.*part)()->set_job(1);
  (message.*part)()->set_epoch(2);
  return message;
}

v1::WorkerMessage Done() {
  v1::WorkerMessage message = Fenced(&v1::WorkerMessage::mutable_lease_done);
  message.mutable_lease_done()->set_step(3);
  message.mutable_lease_done()->set_lease(4);
  message.mutable_lease_done()->set_seconds(0.5);
  return message;
}

v1::WorkerMessage Evaluated() {
  v1::WorkerMessage message = Fenced(&v1::WorkerMessage::mutable_eval_done);
  message.mutable_eval_done()->set_version(3);
  message.mutable_eval_done()->set_lease(4);
  message.mutable_eval_done()->set_loss_fixed(-5);
  message.mutable_eval_done()->set_correct(6);
  message.mutable_eval_done()->set_samples(7);
  message.mutable_eval_done()->set_masked_loss_fixed(80);
  message.mutable_eval_done()->set_masked_tokens(90);
  message.mutable_eval_done()->set_masked_correct(10);
  return message;
}

v1::WorkerMessage Failed() {
  v1::WorkerMessage message = Fenced(&v1::WorkerMessage::mutable_lease_failed);
  message.mutable_lease_failed()->set_step(3);
  message.mutable_lease_failed()->set_lease(4);
  message.mutable_lease_failed()->set_leaf(5);
  message.mutable_lease_failed()->set_tensor("fc.weight");
  message.mutable_lease_failed()->set_what("nan\nforged line");
  return message;
}

v1::WorkerMessage Returned() {
  v1::WorkerMessage message = Fenced(&v1::WorkerMessage::mutable_lease_returned);
  message.mutable_lease_returned()->set_step(3);
  message.mutable_lease_returned()->set_lease(4);
  message.mutable_lease_returned()->set_leaf_begin(5);
  return message;
}

template <typename Event>
Event EventOf(const v1::WorkerMessage& message) {
  Result<std::optional<CoordinatorEvent>> event = WorkerEventFromProto(kSession, message);
  EXPECT_TRUE(event.ok()) << event.status().ToString();
  return std::get<Event>(*event.value());
}

TEST(WorkerMessagesProtoTest, RegistrationBecomesAnEvent) {
  const Result<WorkerJoined> joined = JoinedFromProto(kSession, Register());

  ASSERT_TRUE(joined.ok()) << joined.status().ToString();
  EXPECT_EQ(joined.value().session, kSession);
  EXPECT_EQ(joined.value().name, "worker-0");
  EXPECT_EQ(joined.value().numeric_class, "cpu onednn");
  EXPECT_EQ(joined.value().lanes, 2u);
}

// Before the first placement there is no epoch.
TEST(WorkerMessagesProtoTest, ModelsAreDescribedInEpochZero) {
  const ModelDescribed event = EventOf<ModelDescribed>(Describe());

  EXPECT_EQ(event.epoch, 0u);
  EXPECT_EQ(event.layout->hash(), SmallLayout()->hash());
  EXPECT_EQ(event.train_samples, 60000);
  EXPECT_EQ(event.eval_samples, 10000);
  EXPECT_EQ(event.data, (DataFingerprint{0xabc, 0xdef}));
  EXPECT_EQ(event.dataset, "idx /data/ mnist");
}

TEST(WorkerMessagesProtoTest, AWorkerThatCannotServeNeedsNoLayout) {
  v1::WorkerMessage message;
  message.mutable_describe()->set_job(1);
  message.mutable_describe()->set_error("no such folder");

  const ModelDescribed event = EventOf<ModelDescribed>(message);

  EXPECT_EQ(event.error, "no such folder");
  EXPECT_EQ(event.layout, nullptr);
}

TEST(WorkerMessagesProtoTest, ReportsBecomeEvents) {
  const LeaseDone done = EventOf<LeaseDone>(Done());
  EXPECT_EQ(done.fence, (Fence{1, 2, 3}));
  EXPECT_EQ(done.lease, 4u);
  EXPECT_EQ(done.seconds, 0.5);

  const EvalDone evaluated = EventOf<EvalDone>(Evaluated());
  EXPECT_EQ(evaluated.loss_fixed, -5);
  EXPECT_EQ(evaluated.correct, 6);
  EXPECT_EQ(evaluated.samples, 7);
  EXPECT_EQ(evaluated.masked_loss_fixed, 80);
  EXPECT_EQ(evaluated.masked_tokens, 90);
  EXPECT_EQ(evaluated.masked_correct, 10);

  const LeaseFailed failed = EventOf<LeaseFailed>(Failed());
  EXPECT_EQ(failed.leaf, 5u);
  EXPECT_EQ(failed.tensor, "fc.weight");
  EXPECT_EQ(failed.what, "nan forged line");

  const LeaseReturned returned = EventOf<LeaseReturned>(Returned());
  EXPECT_EQ(returned.fence, (Fence{1, 2, 3}));
  EXPECT_EQ(returned.lease, 4u);
  EXPECT_EQ(returned.leaf_begin, 5u);

  v1::WorkerMessage request = Fenced(&v1::WorkerMessage::mutable_work_request);
  request.mutable_work_request()->set_version(8);
  EXPECT_EQ(EventOf<WorkRequested>(request).fence, (Fence{1, 2, 8}));
}

TEST(WorkerMessagesProtoTest, HeartbeatsAreNoEvents) {
  v1::WorkerMessage message;
  message.mutable_heartbeat();

  const Result<std::optional<CoordinatorEvent>> event = WorkerEventFromProto(kSession, message);

  ASSERT_TRUE(event.ok());
  EXPECT_FALSE(event.value().has_value());
}

using Spoil = std::function<void(v1::WorkerMessage*)>;

TEST(WorkerMessagesProtoTest, RefusesRegistrationsOutOfBounds) {
  const std::vector<Spoil> cases = {
      [](auto* m) { m->mutable_heartbeat(); },
      [](auto* m) { m->mutable_register_()->set_name(""); },
      [](auto* m) { m->mutable_register_()->set_name("a b"); },
      [](auto* m) { m->mutable_register_()->set_lanes(0); },
      [](auto* m) { m->mutable_register_()->set_lanes(4097); },
      [](auto* m) { m->mutable_register_()->set_numeric_class("cpu\n"); },
      [](auto* m) { m->mutable_register_()->set_numeric_class(std::string(201, 'x')); },
  };
  for (const Spoil& spoil : cases) {
    v1::WorkerMessage message = Register();
    spoil(&message);
    EXPECT_EQ(JoinedFromProto(kSession, message).status().code(), Code::kInvalidArgument)
        << message.ShortDebugString();
  }
}

TEST(WorkerMessagesProtoTest, RefusesReportsOutOfBounds) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<v1::WorkerMessage, Spoil>> cases = {
      {Describe(), [](auto* m) { m->mutable_describe()->set_job(0); }},
      {Describe(), [](auto* m) { m->mutable_describe()->clear_layout(); }},
      {Describe(), [](auto* m) { m->mutable_describe()->set_train_samples(0); }},
      {Describe(), [](auto* m) { m->mutable_describe()->set_eval_samples(-1); }},
      {Describe(),
       [](auto* m) {
         m->mutable_describe()->mutable_layout()->mutable_tensors(0)->set_shape(0, 1 << 30);
       }},
      {Done(), [](auto* m) { m->mutable_lease_done()->set_epoch(0); }},
      {Done(), [](auto* m) { m->mutable_lease_done()->set_step(-1); }},
      {Done(), [nan](auto* m) { m->mutable_lease_done()->set_seconds(nan); }},
      {Done(), [](auto* m) { m->mutable_lease_done()->set_seconds(-1); }},
      {Evaluated(), [](auto* m) { m->mutable_eval_done()->set_correct(8); }},
      {Evaluated(), [](auto* m) { m->mutable_eval_done()->set_masked_correct(91); }},
      {Evaluated(), [](auto* m) { m->mutable_eval_done()->set_masked_tokens(-1); }},
      {Evaluated(), [](auto* m) { m->mutable_eval_done()->set_samples(-1); }},
      {Failed(), [](auto* m) { m->mutable_lease_failed()->set_leaf(4096); }},
      {Returned(), [](auto* m) { m->mutable_lease_returned()->set_leaf_begin(4096); }},
      {Returned(), [](auto* m) { m->mutable_lease_returned()->set_job(0); }},
      {Failed(), [](auto* m) { m->clear_kind(); }},
      {Failed(), [](auto* m) { *m = Register(); }},
  };
  for (const auto& [good, spoil] : cases) {
    v1::WorkerMessage message = good;
    spoil(&message);
    EXPECT_EQ(WorkerEventFromProto(kSession, message).status().code(), Code::kInvalidArgument)
        << message.ShortDebugString();
  }
}

TEST(WorkerMessagesProtoTest, AssignmentsCarryTheSpec) {
  const v1::JobSpec spec = SmallSpec();
  const AssignmentOrder order = {1, 2, {{0, "s1", "127.0.0.1:9", 77, {3, 5}}}, 6};

  const v1::Assignment message = WorkerOrderToProto(order, &spec, "token").assignment();

  EXPECT_EQ(message.job(), 1u);
  EXPECT_EQ(message.epoch(), 2u);
  EXPECT_EQ(message.spec().name(), "digits");
  EXPECT_EQ(message.version(), 6);
  EXPECT_EQ(message.token(), "token");
  ASSERT_EQ(message.shards_size(), 1);
  EXPECT_EQ(message.shards(0).name(), "s1");
  EXPECT_EQ(message.shards(0).address(), "127.0.0.1:9");
  EXPECT_EQ(message.shards(0).incarnation(), 77u);
  EXPECT_EQ(message.shards(0).block_begin(), 3u);
  EXPECT_EQ(message.shards(0).block_end(), 5u);
}

TEST(WorkerMessagesProtoTest, OtherOrdersCarryTheirFields) {
  const Fence fence = {1, 2, 3};
  EXPECT_EQ(WorkerOrderToProto(LeaseOrder{fence, 4, {5, 6}, 7}, nullptr).ShortDebugString(),
            "lease { job: 1 epoch: 2 step: 3 lease: 4 leaf_begin: 5 leaf_end: 6 timeout_ms: 7 }");
  EXPECT_EQ(WorkerOrderToProto(EvalLeaseOrder{fence, 4, 5, 6, 7}, nullptr).ShortDebugString(),
            "eval_lease { job: 1 epoch: 2 version: 3 lease: 4 sample_begin: 5 sample_end: 6 "
            "timeout_ms: 7 }");
  EXPECT_EQ(WorkerOrderToProto(PullOrder{fence}, nullptr).ShortDebugString(),
            "pull { job: 1 epoch: 2 version: 3 }");
  EXPECT_EQ(WorkerOrderToProto(UnassignOrder{9}, nullptr).ShortDebugString(),
            "unassign { job: 9 }");
}

}  // namespace
}  // namespace drover
