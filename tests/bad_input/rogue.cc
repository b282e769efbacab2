#include "tests/bad_input/rogue.h"

#include <gtest/gtest.h>

#include "common/rpc/layout_proto.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/victim.h"

namespace drover::bad_input {

v1::WorkerMessage RegisterMessage(const std::string& name) {
  v1::WorkerMessage message;
  message.mutable_register_()->set_name(name);
  message.mutable_register_()->set_incarnation(7);
  message.mutable_register_()->set_numeric_class("test");
  message.mutable_register_()->set_lanes(1);
  return message;
}

v1::WorkerMessage DoneMessage(World& world, uint64_t lease) {
  v1::WorkerMessage message;
  v1::LeaseDone* done = message.mutable_lease_done();
  done->set_job(world.victim().job());
  done->set_epoch(world.victim().epoch());
  done->set_step(world.victim().step());
  done->set_lease(lease);
  done->set_seconds(1);
  return message;
}

v1::WorkerMessage FailedMessage(World& world, uint64_t lease) {
  v1::WorkerMessage message;
  v1::LeaseFailed* failed = message.mutable_lease_failed();
  failed->set_job(world.victim().job());
  failed->set_epoch(world.victim().epoch());
  failed->set_step(world.victim().step());
  failed->set_lease(lease);
  failed->set_tensor("fc.weight");
  failed->set_what("nan");
  return message;
}

v1::WorkerMessage DescribeMessage(World& world, const Layout& layout) {
  v1::WorkerMessage message;
  v1::DescribeModel* model = message.mutable_describe();
  model->set_job(world.victim().job());
  model->set_epoch(world.victim().epoch());
  *model->mutable_layout() = LayoutToProto(layout);
  model->set_train_samples(60'000);
  model->set_eval_samples(10'000);
  model->set_train_fingerprint(1);
  model->set_eval_fingerprint(2);
  return message;
}

Rogue::Rogue(World& world, const std::string& name)
    : client_(world.coordinator().As(Role::kWorker, name)), stream_(client_.Open(kWorkerSession)) {
  EXPECT_TRUE(Say(RegisterMessage(name)));
  EXPECT_TRUE(Read().has_assignment());
}

bool Rogue::Say(const v1::WorkerMessage& message) {
  return stream_->Write(message.SerializeAsString());
}

v1::WorkerOrder Rogue::Read() {
  v1::WorkerOrder order;
  EXPECT_TRUE(order.ParseFromString(stream_->Read().value_or("")));
  return order;
}

Status Rogue::Leave() {
  stream_->WritesDone();
  return stream_->Finish();
}

Status Rogue::EndAfter(const v1::WorkerMessage& message) {
  EXPECT_TRUE(Say(message));
  return stream_->Finish();
}

}  // namespace drover::bad_input
