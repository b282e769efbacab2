#include "worker/train/worker_messages.h"

#include "common/rpc/layout_proto.h"

namespace drover {
namespace {

// Job and epoch of any message.
template <typename Message, typename Order>
void SetFence(const Order& order, Message* message) {
  message->set_job(order.job());
  message->set_epoch(order.epoch());
}

}  // namespace

v1::WorkerMessage DescribeMessage(const v1::Assignment& assignment, const Layout& layout,
                                  const JobSetup& setup, const ComputeDevice& device) {
  v1::WorkerMessage message;
  v1::DescribeModel* describe = message.mutable_describe();
  SetFence(assignment, describe);
  *describe->mutable_layout() = LayoutToProto(layout);
  describe->set_train_samples(static_cast<int64_t>(setup.train->size()));
  describe->set_eval_samples(static_cast<int64_t>(setup.test->size()));
  describe->set_train_fingerprint(setup.train->fingerprint());
  describe->set_eval_fingerprint(setup.test->fingerprint());
  describe->set_dataset(setup.dataset);
  describe->set_numeric_class(device.numeric_class);
  describe->set_lanes(static_cast<uint32_t>(device.lanes.size()));
  return message;
}

v1::WorkerMessage CannotServeMessage(const v1::Assignment& assignment, const std::string& why) {
  v1::WorkerMessage message;
  SetFence(assignment, message.mutable_describe());
  message.mutable_describe()->set_error(why);
  return message;
}

v1::WorkerMessage WorkRequestMessage(const v1::Assignment& assignment, int64_t version) {
  v1::WorkerMessage message;
  SetFence(assignment, message.mutable_work_request());
  message.mutable_work_request()->set_version(version);
  return message;
}

v1::WorkerMessage LeaseDoneMessage(const v1::Assignment& assignment, const LeaseRun& lease) {
  v1::WorkerMessage message;
  v1::LeaseDone* done = message.mutable_lease_done();
  SetFence(assignment, done);
  done->set_step(lease.order().step);
  done->set_lease(lease.order().lease);
  done->set_seconds(Seconds(lease.duration()));
  return message;
}

v1::WorkerMessage LeaseFailedMessage(const v1::Assignment& assignment, const LeaseRun& lease) {
  const LeaseRun::Failure failure = lease.failure();
  v1::WorkerMessage message;
  v1::LeaseFailed* failed = message.mutable_lease_failed();
  SetFence(assignment, failed);
  failed->set_step(lease.order().step);
  failed->set_lease(lease.order().lease);
  failed->set_leaf(failure.leaf);
  failed->set_tensor(failure.tensor);
  failed->set_what(failure.what);
  return message;
}

v1::WorkerMessage LeaseReturnedMessage(const v1::Assignment& assignment,
                                       const LeaseRun::Order& lease, uint32_t leaf_begin) {
  v1::WorkerMessage message;
  v1::LeaseReturned* returned = message.mutable_lease_returned();
  SetFence(assignment, returned);
  returned->set_step(lease.step);
  returned->set_lease(lease.lease);
  returned->set_leaf_begin(leaf_begin);
  return message;
}

v1::WorkerMessage EvalDoneMessage(const v1::EvalLease& order, const EvalStats& total) {
  v1::WorkerMessage message;
  v1::EvalDone* done = message.mutable_eval_done();
  SetFence(order, done);
  done->set_version(order.version());
  done->set_lease(order.lease());
  done->set_loss_fixed(total.loss);
  done->set_correct(total.correct);
  done->set_samples(total.samples);
  done->set_masked_loss_fixed(total.masked_loss);
  done->set_masked_tokens(total.masked_tokens);
  done->set_masked_correct(total.masked_correct);
  return message;
}

v1::WorkerMessage LeavingMessage() {
  v1::WorkerMessage message;
  message.mutable_leaving();
  return message;
}

}  // namespace drover
