#include "common/rpc/redial.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/rpc/channel.h"

namespace drover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Status kGone(Code::kUnavailable, "connection refused");
const Status kRefused(Code::kInvalidArgument, "DescribeModel: job is 0");

std::vector<int64_t> Pauses(Redial* redial, const Redial::Ending& ending, int count) {
  std::vector<int64_t> pauses;
  for (int i = 0; i < count; ++i) {
    pauses.push_back(redial->PauseAfter(ending) / milliseconds(1));
  }
  return pauses;
}

TEST(RedialTest, APeerThatIsNotThereIsTriedEverySecond) {
  Redial redial;
  EXPECT_EQ(Pauses(&redial, {kGone}, 6), (std::vector<int64_t>{100, 200, 400, 800, 1000, 1000}));
}

TEST(RedialTest, APeerThatRefusesIsTriedEveryFiveSeconds) {
  Redial redial;
  EXPECT_EQ(Pauses(&redial, {kRefused}, 8),
            (std::vector<int64_t>{100, 200, 400, 800, 1600, 3200, 5000, 5000}));
}

// A refusal may come after an order: of what the order was answered with.
TEST(RedialTest, AnOrderBeforeTheRefusalDoesNotShortenThePause) {
  Redial redial;
  EXPECT_EQ(Pauses(&redial, {kRefused, true, milliseconds(3)}, 4),
            (std::vector<int64_t>{100, 200, 400, 800}));
}

TEST(RedialTest, AUsefulOrLongStreamBeginsAnew) {
  Redial redial;
  Pauses(&redial, {kRefused}, 8);
  EXPECT_EQ(redial.PauseAfter({kGone, true, milliseconds(3)}), milliseconds(kReconnectInitialMs));
  Pauses(&redial, {kRefused}, 8);
  EXPECT_EQ(redial.PauseAfter({Status(), true, milliseconds(3)}), milliseconds(100));
  Pauses(&redial, {kRefused}, 8);
  EXPECT_EQ(redial.PauseAfter({kRefused, true, seconds(10)}), milliseconds(100));
}

TEST(RedialTest, ARefusalThatBecomesAnAbsenceIsTriedSoonAgain) {
  Redial redial;
  Pauses(&redial, {kRefused}, 8);
  EXPECT_EQ(redial.PauseAfter({kGone}), seconds(1));
}

TEST(RedialTest, TheSameReasonIsNewsOnce) {
  Redial redial;
  const auto news = [&](const Redial::Ending& ending) {
    redial.PauseAfter(ending);
    return redial.is_news();
  };
  EXPECT_TRUE(news({kGone}));
  EXPECT_FALSE(news({kGone}));
  EXPECT_TRUE(news({kRefused, true}));
  EXPECT_FALSE(news({kRefused, true}));
  EXPECT_FALSE(news({kRefused}));
  EXPECT_TRUE(news({kGone}));
  EXPECT_TRUE(news({kGone, true})) << "it was there in between";
  EXPECT_TRUE(news({kRefused}));
  EXPECT_TRUE(news({kRefused, true, seconds(10)})) << "it was content for long";
}

}  // namespace
}  // namespace drover
