// What a worker says to the coordinator, as messages. Thread-safe: functions only.

#ifndef DROVER_WORKER_TRAIN_WORKER_MESSAGES_H_
#define DROVER_WORKER_TRAIN_WORKER_MESSAGES_H_

#include <cstdint>
#include <string>

#include "common/rpc/frame_header.h"
#include "common/tensor/layout.h"
#include "proto/drover/v1/worker.pb.h"
#include "worker/train/compute_device.h"
#include "worker/train/job_setup.h"
#include "worker/train/lease_run.h"

namespace drover {

// `assignment`: the job and epoch that the message is about.
v1::WorkerMessage DescribeMessage(const v1::Assignment& assignment, const Layout& layout,
                                  const JobSetup& setup, const ComputeDevice& device);
// `why`: not empty; a person is told.
v1::WorkerMessage CannotServeMessage(const v1::Assignment& assignment, const std::string& why);
v1::WorkerMessage WorkRequestMessage(const v1::Assignment& assignment, int64_t version);
v1::WorkerMessage LeaseDoneMessage(const v1::Assignment& assignment, const LeaseRun& lease);
v1::WorkerMessage LeaseFailedMessage(const v1::Assignment& assignment, const LeaseRun& lease);
// From `leaf_begin` on.
v1::WorkerMessage LeaseReturnedMessage(const v1::Assignment& assignment,
                                       const LeaseRun::Order& lease, uint32_t leaf_begin);
v1::WorkerMessage EvalDoneMessage(const v1::EvalLease& order, const EvalStats& total);
v1::WorkerMessage LeavingMessage();

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_WORKER_MESSAGES_H_
