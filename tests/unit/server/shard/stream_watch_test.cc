#include "server/shard/stream_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace drover {
namespace {

using std::chrono::seconds;
using Ids = std::vector<StreamWatch::Id>;

class StreamWatchTest : public testing::Test {
 protected:
  // Looks every second for `time`; what the last look said.
  Ids LookFor(Duration time) {
    Ids silent;
    for (const Instant end = now_ + time; now_ < end;) {
      now_ = now_ + seconds(1);
      silent = watch_.Silent(now_);
    }
    return silent;
  }

  Instant now_;
  StreamWatch watch_;
};

TEST_F(StreamWatchTest, AHelloIsDueWithinTenSeconds) {
  const StreamWatch::Id mute = watch_.Open(now_);
  const StreamWatch::Id greeted = watch_.Open(now_);
  watch_.Heard(greeted, now_);

  EXPECT_EQ(LookFor(seconds(9)), Ids());
  EXPECT_EQ(LookFor(seconds(1)), Ids{mute});
}

TEST_F(StreamWatchTest, WhoHasSaidHelloMayBeSilentForFiveMinutes) {
  const StreamWatch::Id id = watch_.Open(now_);
  watch_.Heard(id, now_);

  EXPECT_EQ(LookFor(seconds(299)), Ids());
  EXPECT_EQ(LookFor(seconds(1)), Ids{id});
  watch_.Heard(id, now_);
  EXPECT_EQ(LookFor(seconds(299)), Ids());
}

TEST_F(StreamWatchTest, TimeInWhichNobodyListenedDoesNotCount) {
  watch_.Open(now_);
  LookFor(seconds(6));

  now_ = now_ + seconds(3600);  // kGap of them count.

  EXPECT_EQ(watch_.Silent(now_), Ids());
  EXPECT_EQ(LookFor(seconds(1)).size(), 1u);
}

TEST_F(StreamWatchTest, AClosedStreamIsForgotten) {
  const StreamWatch::Id id = watch_.Open(now_);
  watch_.Close(id);
  watch_.Heard(id, now_);

  EXPECT_EQ(LookFor(seconds(600)), Ids());
}

}  // namespace
}  // namespace drover
