// The plain values of step_messages.h as messages of proto/drover/v1/shard.proto and back, for the
// services of coordinator and shard, the job store and the redo log. Nothing from a peer is taken
// over unchecked: what comes out of a ...FromProto obeys the limits below, or it is a
// kInvalidArgument that names message and field. What needs the state of a job (its layout, its
// step, the peer's range) is checked by the cores. Thread-safe: functions only.

#ifndef DROVER_SERVER_STEP_MESSAGES_PROTO_H_
#define DROVER_SERVER_STEP_MESSAGES_PROTO_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "proto/drover/v1/shard.pb.h"
#include "server/step_messages.h"

namespace drover {

// Of any message: job and epoch are not 0, 0 <= step <= kStepMax. Counts are 0 to kCountMax, so
// that sums of many cannot overflow. Texts for people are cut, paths are refused when longer.
inline constexpr int64_t kStepMax = int64_t{1} << 31;
inline constexpr int64_t kCountMax = int64_t{1} << 46;
inline constexpr size_t kPeerTextBytesMax = 2000;
inline constexpr size_t kPathBytesMax = 4096;
inline constexpr size_t kUpdateGroupsMax = 4096;

// kInvalidArgument "what: detail"; `what` is the message, as "Place" or "RegisterWorker".
Status BadMessage(const char* what, const std::string& detail);

// Coordinator to shard. An order without a kind, or of a kind that this build does not know, is
// kInvalidArgument. Orders hold: PlaceOrder a layout, blocks within it, shard_index < shard_count,
// 1 <= leaves <= kLeavesMax, a batch that is a multiple of leaves, fraction bits in range, a rule
// that exists; numbers a group for each tensor (and in a commit that does not skip, a finite
// scale).
v1::ShardOrder OrderToProto(const ShardOrder& order);
Result<ShardOrder> OrderFromProto(const v1::ShardOrder& message);

// Shard to coordinator. RegisterShard and heartbeats are no replies: kInvalidArgument, like no
// kind at all.
// Replies hold: sums of squares that are finite and not negative, as many weights' as directions',
// 0 <= correct <= samples, at most kLeavesMax leaves, a file name without folders and 32
// hexadecimal digits of hash unless there is an error.
v1::ShardMessage ReplyToProto(const ShardReply& reply);
Result<ShardReply> ReplyFromProto(const v1::ShardMessage& message);

// A commit alone: what job store and redo log keep.
v1::Commit CommitToProto(const CommitOrder& order);
Result<CommitOrder> CommitFromProto(const v1::Commit& message);

// For the services: the fence of any message with job, epoch and a step or version, checked as
// above; `what` names the message in the error.
Result<Fence> FenceFromProto(uint64_t job, uint32_t epoch, int64_t step, const char* what);

// Whether a name of a worker or shard is [A-Za-z0-9_.-]{1,63}: kInvalidArgument quoting it if not.
Status CheckPeerName(const std::string& name);

// A text for people from a peer: cut to kPeerTextBytesMax, control characters as spaces, so that it
// cannot forge lines of a log.
std::string PeerText(const std::string& text);

}  // namespace drover

#endif  // DROVER_SERVER_STEP_MESSAGES_PROTO_H_
