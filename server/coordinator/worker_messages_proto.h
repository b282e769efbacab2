// What workers and coordinator say to each other, between proto/drover/v1/worker.proto and the
// events and actions of the core. Messages from a worker are checked as step_messages_proto.h
// describes. Thread-safe: functions only.

#ifndef DROVER_SERVER_COORDINATOR_WORKER_MESSAGES_PROTO_H_
#define DROVER_SERVER_COORDINATOR_WORKER_MESSAGES_PROTO_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "proto/drover/v1/worker.pb.h"
#include "server/coordinator/coordinator_events.h"

namespace drover {

inline constexpr uint32_t kLanesMax = 4096;
inline constexpr size_t kNumericClassBytesMax = 200;
inline constexpr int64_t kSamplesMax = int64_t{1} << 40;  // Of a dataset.
inline constexpr double kLeaseSecondsMax = 1e9;

// The first message of a stream: kInvalidArgument when it is not RegisterWorker, or a field is out
// of bounds.
Result<WorkerJoined> JoinedFromProto(SessionId session, const v1::WorkerMessage& message);

// Every later one; nothing for a heartbeat.
Result<std::optional<CoordinatorEvent>> WorkerEventFromProto(SessionId session,
                                                             const v1::WorkerMessage& message);

// `spec` and `token` go into an assignment; the other orders need neither.
v1::WorkerOrder WorkerOrderToProto(const WorkerOrder& order, const v1::JobSpec* spec,
                                   const std::string& token = "");

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_WORKER_MESSAGES_PROTO_H_
