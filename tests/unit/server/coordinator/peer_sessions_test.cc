#include "server/coordinator/peer_sessions.h"

#include <gtest/gtest.h>

#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using std::chrono::seconds;

PeerOrder Unassign(uint64_t job) {
  v1::WorkerOrder order;
  order.mutable_unassign()->set_job(job);
  return order;
}

class PeerSessionsTest : public ::testing::Test {
 protected:
  Instant At(int s) const { return {seconds(s)}; }

  PeerSessions sessions_;
  int cancelled_ = 0;
};

TEST_F(PeerSessionsTest, OrdersComeOutInTheOrderOfSending) {
  PeerSession session(&sessions_, PeerKind::kWorker, At(10), [] {});
  sessions_.Send(session.id(), Unassign(1));
  sessions_.Send(session.id(), Unassign(2));

  EXPECT_EQ(std::get<v1::WorkerOrder>(*session.NextOrder()).unassign().job(), 1u);
  EXPECT_EQ(std::get<v1::WorkerOrder>(*session.NextOrder()).unassign().job(), 2u);
}

TEST_F(PeerSessionsTest, IdsAreNeverUsedAgain) {
  SessionId first;
  {
    PeerSession session(&sessions_, PeerKind::kWorker, At(10), [] {});
    first = session.id();
  }
  PeerSession session(&sessions_, PeerKind::kWorker, At(10), [] {});

  EXPECT_NE(session.id(), first);
  EXPECT_EQ(sessions_.size(), 1u);
}

TEST_F(PeerSessionsTest, OrdersForAStreamThatIsOverAreDropped) {
  sessions_.Send(99, Unassign(1));
  sessions_.Close(99, "why");
}

TEST_F(PeerSessionsTest, APeerThatDoesNotReadLosesItsStream) {
  PeerSession session(&sessions_, PeerKind::kWorker, At(10), [this] { ++cancelled_; });
  for (size_t i = 0; i < PeerSessions::kOrdersMax; ++i) sessions_.Send(session.id(), Unassign(i));
  EXPECT_EQ(cancelled_, 0);

  sessions_.Send(session.id(), Unassign(1));
  sessions_.Send(session.id(), Unassign(1));

  EXPECT_EQ(cancelled_, 1);
  EXPECT_NE(session.close_reason().find("stopped reading"), std::string::npos);
}

TEST_F(PeerSessionsTest, TheFirstReasonForClosingStays) {
  PeerSession session(&sessions_, PeerKind::kWorker, At(10), [this] { ++cancelled_; });

  sessions_.Close(session.id(), "replaced");
  sessions_.CloseAll("going down");

  EXPECT_EQ(session.close_reason(), "replaced");
  EXPECT_EQ(cancelled_, 1);
  EXPECT_FALSE(session.NextOrder().has_value());
}

TEST_F(PeerSessionsTest, WhoDoesNotSayWhoItIsIsClosed) {
  PeerSession silent(&sessions_, PeerKind::kWorker, At(10), [this] { ++cancelled_; });
  PeerSession registered(&sessions_, PeerKind::kWorker, At(10), [] { FAIL(); });
  registered.Heard(At(11));

  sessions_.CloseSilent(At(9));
  EXPECT_EQ(cancelled_, 0);
  sessions_.CloseSilent(At(10));

  EXPECT_EQ(cancelled_, 1);
  EXPECT_NE(silent.close_reason().find("did not say who it is"), std::string::npos);
  EXPECT_EQ(registered.close_reason(), "");
}

TEST_F(PeerSessionsTest, WhoFallsSilentIsClosedAndWhoSpeaksIsNot) {
  PeerSession frozen(&sessions_, PeerKind::kWorker, At(10), [this] { ++cancelled_; });
  PeerSession alive(&sessions_, PeerKind::kWorker, At(10), [] { FAIL(); });
  frozen.Heard(At(5));
  alive.Heard(At(5));

  for (int s = 0; s < 30; ++s) {
    EXPECT_EQ(cancelled_, s <= 5 ? 0 : 1) << s;
    sessions_.CloseSilent(At(s));
    alive.Heard(At(s + 5));
  }

  EXPECT_NE(frozen.close_reason().find("frozen"), std::string::npos);
}

TEST_F(PeerSessionsTest, WhileNobodyListenedNobodyWasSilent) {
  PeerSession session(&sessions_, PeerKind::kWorker, At(10), [this] { ++cancelled_; });
  session.Heard(At(5));
  sessions_.CloseSilent(At(0));

  sessions_.CloseSilent(At(100));  // This process was stopped, and what the peer said still waits.
  EXPECT_EQ(cancelled_, 0);
  for (int s = 101; s < 104; ++s) sessions_.CloseSilent(At(s));
  EXPECT_EQ(cancelled_, 0) << "one second of the hundred was listened to, and three since";
  sessions_.CloseSilent(At(104));

  EXPECT_EQ(cancelled_, 1);
}

TEST_F(PeerSessionsTest, AFinishedSessionIsNotCancelled) {
  {
    PeerSession session(&sessions_, PeerKind::kWorker, At(10), [this] { ++cancelled_; });
  }

  sessions_.CloseAll("going down");

  EXPECT_EQ(cancelled_, 0);
}

TEST_F(PeerSessionsTest, WorkersBeyondTheLimitAreNotTakenAndShardsStillAre) {
  PeerSessions few({.workers = 2, .shards = 1});
  PeerSession first(&few, PeerKind::kWorker, At(10), [] {});
  {
    PeerSession second(&few, PeerKind::kWorker, At(10), [] {});
    PeerSession third(&few, PeerKind::kWorker, At(10), [] { FAIL(); });
    PeerSession shard(&few, PeerKind::kShard, At(10), [] {});
    EXPECT_TRUE(second.admitted());
    EXPECT_FALSE(third.admitted());
    EXPECT_TRUE(shard.admitted());
    third.Heard(At(20));
    EXPECT_EQ(few.size(), 3u);
  }
  PeerSession next(&few, PeerKind::kWorker, At(10), [] {});
  EXPECT_TRUE(next.admitted());
}

}  // namespace
}  // namespace drover
