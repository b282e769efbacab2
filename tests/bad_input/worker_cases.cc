// W: workers that register and then say what they should not, at the coordinator of the victim and
// about the victim's job. What contradicts the protocol ends their stream with INVALID_ARGUMENT;
// what is merely late, early or about others is dropped and counted, as an honest worker may send
// it too.

#include <gtest/gtest.h>

#include <functional>

#include "common/rpc/refusal_log.h"
#include "proto/drover/v1/worker.pb.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/rogue.h"
#include "tests/bad_input/victim.h"
#include "tests/bad_input/world.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover::bad_input {
namespace {

void ExpectEnded(World& world, const std::function<void(v1::WorkerMessage*)>& say) {
  Rogue rogue(world);
  v1::WorkerMessage message;
  say(&message);
  EXPECT_EQ(rogue.EndAfter(message).code(), Code::kInvalidArgument) << message.ShortDebugString();
}

void UnknownJob(World& world) {
  Rogue rogue(world);
  v1::WorkerMessage message = DoneMessage(world, 1);
  message.mutable_lease_done()->set_job(77);
  EXPECT_TRUE(rogue.Say(message));
  v1::WorkerMessage work;
  work.mutable_work_request()->set_job(78);
  work.mutable_work_request()->set_epoch(1);
  EXPECT_TRUE(rogue.Say(work));
  EXPECT_TRUE(rogue.Leave().ok());
}

void WrongClass(World& world) {
  Rogue rogue(world);
  v1::WorkerMessage message = DescribeMessage(world, *VictimLayout());
  message.mutable_describe()->set_numeric_class("another machine");
  EXPECT_TRUE(rogue.Say(message));
  EXPECT_TRUE(rogue.Read().has_unassign());
  ExpectEnded(world, [&](v1::WorkerMessage* bad) {
    *bad = DescribeMessage(world, *VictimLayout());
    bad->mutable_describe()->set_numeric_class("a\nb");
  });
}

// The newcomer of a name replaces the one before: a restarted worker must not wait for the silence
// of its predecessor to be noticed.
void SameName(World& world) {
  Rogue first(world);
  Rogue second(world);
  EXPECT_FALSE(first.Leave().ok()) << "it was replaced";
  EXPECT_TRUE(second.Leave().ok());
}

void ExpiredLease(World& world) {
  Rogue rogue(world);
  EXPECT_TRUE(rogue.Say(DoneMessage(world, world.victim().last_lease())));
  v1::WorkerMessage old = DoneMessage(world, 1);
  old.mutable_lease_done()->set_step(0);
  EXPECT_TRUE(rogue.Say(old));
  EXPECT_TRUE(rogue.Leave().ok());
}

void FutureStep(World& world) {
  Rogue rogue(world);
  v1::WorkerMessage message = DoneMessage(world, 1);
  message.mutable_lease_done()->set_step(world.victim().step() + 1);
  EXPECT_TRUE(rogue.Say(message));
  v1::WorkerMessage failed = FailedMessage(world, 1);
  failed.mutable_lease_failed()->set_step(world.victim().step() + 1);
  EXPECT_TRUE(rogue.Say(failed));
  EXPECT_TRUE(rogue.Leave().ok());
  ExpectEnded(world, [&](v1::WorkerMessage* bad) {
    *bad = DoneMessage(world, 1);
    bad->mutable_lease_done()->set_step(int64_t{1} << 40);
  });
}

// A report without a lease must not spoil the step: who was never asked for a leaf is not heard.
void NeverLeased(World& world) {
  Rogue rogue(world);
  EXPECT_TRUE(rogue.Say(FailedMessage(world, 1'000'000)));
  EXPECT_TRUE(rogue.Say(DoneMessage(world, 1'000'000)));
  EXPECT_TRUE(rogue.Leave().ok());
}

void SameLeafTwice(World& world) {
  Rogue rogue(world);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(rogue.Say(DoneMessage(world, world.victim().last_lease())));
  EXPECT_TRUE(rogue.Leave().ok());
}

void BadLeaf(World& world) {
  for (const uint32_t leaf : {4096u, 0xffffffffu}) {
    ExpectEnded(world, [&](v1::WorkerMessage* bad) {
      *bad = FailedMessage(world, 1);
      bad->mutable_lease_failed()->set_leaf(leaf);
    });
  }
  ExpectEnded(world, [&](v1::WorkerMessage* bad) {
    *bad = DoneMessage(world, 1);
    bad->mutable_lease_done()->set_seconds(-1);
  });
}

// 3,000 requests for work by one who has not even described the model: none is answered.
void LeaseFlood(World& world) {
  Rogue rogue(world);
  v1::WorkerMessage message;
  message.mutable_work_request()->set_job(world.victim().job());
  message.mutable_work_request()->set_epoch(world.victim().epoch());
  message.mutable_work_request()->set_version(world.victim().step());
  for (int i = 0; i < 3'000; ++i) ASSERT_TRUE(rogue.Say(message));
  EXPECT_TRUE(rogue.Leave().ok());
}

// 1,000 workers register and then say nothing, at a coordinator of their own whose clock is turned
// by hand and that takes 200 of them, since each holds two threads: the others are told so, and
// those 200 are gone after 5 s of silence.
constexpr size_t kSilent = 1000;
constexpr size_t kTaken = 200;

void SilentWorkers(World& world) {
  StillClock clock;
  ControlServer::Options options;
  options.clock = &clock;
  options.sessions.workers = kTaken;
  ControlServer lab(&world, "lab", options);
  const Client client = lab.As(Role::kWorker, "silent");
  const auto open = [&](size_t i) {
    std::unique_ptr<Stream> stream = client.Open(kWorkerSession);
    (void)stream->Write(RegisterMessage("silent-" + std::to_string(i)).SerializeAsString());
    return stream;
  };
  std::vector<std::unique_ptr<Stream>> streams;
  while (streams.size() < kTaken) streams.push_back(open(streams.size()));
  const Instant deadline = Clock::Real().Now() + kPatience;
  while (lab.sessions() < kTaken && Clock::Real().Now() < deadline) {
    SleepFor(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(lab.sessions(), kTaken);
  for (size_t i = kTaken; i < kSilent; ++i) {
    EXPECT_EQ(open(i)->Finish().code(), Code::kResourceExhausted);
  }
  for (int i = 0; i < 22; ++i) {
    clock.Advance(500);
    lab.CloseSilent();
  }
  for (const auto& stream : streams) EXPECT_FALSE(stream->Finish().ok());
}

}  // namespace

std::vector<Case> WorkerCases() {
  return {
      {65, "unknown job", UnknownJob, {{"refused_messages/epoch", 2}}},
      {66,
       "wrong numeric class",
       WrongClass,
       {{"refused_messages/numeric_class", 1}, {"refused_messages/malformed", 1}}},
      {67, "two workers of one name", SameName},
      {68, "report of a lease that is over", ExpiredLease, {{"refused_messages/lease", 2}}},
      {69,
       "report of a future step",
       FutureStep,
       {{"refused_messages/lease", 1}, {"refused_messages/malformed", 1}}},
      {70, "report of a leaf that was never leased", NeverLeased, {{"refused_messages/lease", 2}}},
      {71, "the same leaf twice", SameLeafTwice, {{"refused_messages/lease", 2}}},
      {72, "leaf that does not exist", BadLeaf, {{"refused_messages/malformed", 3}}},
      {73, "flood of requests for work", LeaseFlood},
      {74,
       "1,000 workers that register and then are silent",
       SilentWorkers,
       {{"auth_failures/too_many", kSilent - kTaken}},
       RefusalLog::kLinesPerSecond},
  };
}

}  // namespace drover::bad_input
