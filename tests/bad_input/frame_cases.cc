// D: what only Drover's own protocol can be told wrongly.

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "common/rpc/layout_proto.h"
#include "proto/drover/v1/shard.pb.h"
#include "proto/drover/v1/worker.pb.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/frames.h"
#include "tests/bad_input/lab_shard.h"
#include "tests/bad_input/rogue.h"
#include "tests/bad_input/victim.h"

namespace drover::bad_input {
namespace {

// The gradient of leaves [0, `end`) as fixed point, all elements `value`.
SlowJobFrame Sum(const LabShard& lab, uint32_t end, int64_t value) {
  SlowJobFrame frame = lab.Frames(0).front();
  frame.header.encoding = FrameEncoding::kI64;
  frame.header.leaf_end = end;
  frame.payload = PayloadBytes(std::vector<int64_t>(frame.payload.size() / sizeof(float), value));
  return frame;
}

void OtherLayout(World& world) {
  LabShard lab(&world);
  Pusher pusher(lab);
  SlowJobFrame frame = lab.Frames(0).front();
  frame.header.layout_hash ^= 1;
  EXPECT_EQ(pusher.Push(frame), Verdict::kLayout);
  lab.FinishStep();

  Rogue rogue(world);
  EXPECT_TRUE(rogue.Say(DescribeMessage(world, *lab.layout())));
  EXPECT_TRUE(rogue.Read().has_unassign());
}

void Overlap(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  EXPECT_EQ(rogue.Push(lab.Frames(1)[0]), Verdict::kStored);
  EXPECT_EQ(rogue.Push(Sum(lab, 2, 5)), Verdict::kOverlap);
  EXPECT_EQ(rogue.Push(Sum(lab, 4, 5)), Verdict::kOverlap);
  lab.FinishStep();
}

// r leaves of s samples stay below 2^14 * r * s, times 2^F.
void SumOutOfRange(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  const int bits = DefaultFractionBits(kSlowJobBatch);
  const int64_t limit = (int64_t{1} << (14 + bits)) * (kSlowJobBatch / kSlowJobLeaves);
  for (const int64_t value : {2 * limit + 1, -2 * limit - 1, std::numeric_limits<int64_t>::max(),
                              std::numeric_limits<int64_t>::min()}) {
    EXPECT_EQ(rogue.Push(Sum(lab, 2, value)), Verdict::kRange) << value;
  }
  lab.FinishStep();
}

void SampleCount(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  SlowJobFrame stats = lab.Frames(0).back();
  for (const int64_t samples : {int64_t{0}, int64_t{-16}, int64_t{17}, int64_t{1} << 62}) {
    stats.payload = StatsBytes({0, 0, samples, 0});
    EXPECT_EQ(rogue.Push(stats), Verdict::kRange) << samples;
  }
  lab.FinishStep();
}

// Workers send no weights: shards make the initial ones themselves, from the job's seed. So there
// is no first upload either, and the stream ends at once.
void InitialValues(World& world) {
  LabShard lab(&world);
  for (const float value : {1.0f, 2.0f}) {
    Pusher rogue(lab);
    SlowJobFrame frame = lab.Frames(0).front();
    frame.header.type = FrameType::kWeights;
    frame.payload = PayloadBytes(std::vector<float>(frame.payload.size() / sizeof(float), value));
    EXPECT_TRUE(rogue.Write(FrameBytes(frame.header, frame.payload)));
    EXPECT_EQ(rogue.End().code(), Code::kInvalidArgument);
  }
  lab.FinishStep();
}

v1::ShardMessage RegisterShard(uint64_t incarnation) {
  v1::ShardMessage message;
  message.mutable_register_()->set_name("twice");
  message.mutable_register_()->set_incarnation(incarnation);
  message.mutable_register_()->set_address("localhost:1");
  return message;
}

// The newcomer counts, for workers and for shards: what the one before had still to say is not
// heard, as its stream is over.
void SecondSession(World& world) {
  ControlServer lab(&world);
  const Client client = lab.As(Role::kShard, "twice");
  const auto old = client.Open(kShardSession);
  ASSERT_TRUE(old->Write(RegisterShard(1).SerializeAsString()));
  const auto newer = client.Open(kShardSession);
  ASSERT_TRUE(newer->Write(RegisterShard(2).SerializeAsString()));
  EXPECT_FALSE(old->Finish().ok());
  v1::ShardMessage applied;
  applied.mutable_applied()->set_job(77);
  applied.mutable_applied()->set_epoch(1);
  EXPECT_TRUE(newer->Write(applied.SerializeAsString()));
  newer->WritesDone();
  EXPECT_TRUE(newer->Finish().ok());
  // Behind it in the coordinator's queue: so it has been counted.
  EXPECT_TRUE(lab.As(Role::kViewer).Call(kListJobs, "").status.ok());
}

}  // namespace

std::vector<Case> DroverFrameCases() {
  return {
      {95,
       "other layout",
       OtherLayout,
       {{"refused_chunks/layout", 1}, {"refused_messages/layout", 1}}},
      {96,
       "leaves that are there in part",
       Overlap,
       {{"refused_chunks/overlap", 2}, {"duplicate_chunks", 1}}},
      {97, "sum beyond its range, INT64_MIN", SumOutOfRange, {{"refused_chunks/range", 4}}},
      {98,
       "number of samples that the leaf does not have",
       SampleCount,
       {{"refused_chunks/range", 4}}},
      {99, "initial values from a worker", InitialValues, {{"refused_chunks/length", 2}}},
      {100, "second session of one name", SecondSession, {{"refused_messages/epoch", 1}}},
  };
}

}  // namespace drover::bad_input
