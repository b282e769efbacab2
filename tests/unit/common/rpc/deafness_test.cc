#include "common/rpc/deafness.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

namespace drover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A clock that is turned by hand.
class DeafnessTest : public testing::Test {
 protected:
  // Looks every `step` for `time`, until there is something to say.
  std::optional<std::string> LookFor(Duration time, const Deafness::Look& look,
                                     Duration step = milliseconds(250)) {
    std::optional<std::string> said;
    for (const Instant end = now_ + time; !said && now_ < end;) {
      now_ = now_ + step;
      said = deafness_.Observe(look, now_);
    }
    return said;
  }

  Instant now_;
  Deafness deafness_;
};

TEST_F(DeafnessTest, WhoAnswersIsNeverDeaf) {
  EXPECT_EQ(LookFor(seconds(600), {.answered = true, .exhausted = true}), std::nullopt);
}

TEST_F(DeafnessTest, WithoutDescriptorsThreeSecondsAreEnough) {
  LookFor(seconds(1), {.answered = true});
  EXPECT_EQ(LookFor(milliseconds(2750), {.exhausted = true}), std::nullopt);
  EXPECT_EQ(LookFor(seconds(1), {.exhausted = true}),
            "no answer for 3.0 s, and its file descriptors have run out");
}

TEST_F(DeafnessTest, OneSignIsRememberedUntilTheNextAnswer) {
  LookFor(milliseconds(250), {.answered = true});
  LookFor(milliseconds(250), {.exhausted = true});
  EXPECT_NE(LookFor(seconds(3), {}), std::nullopt);
}

TEST_F(DeafnessTest, ASignAtTheLookOfAnAnswerCounts) {
  LookFor(milliseconds(250), {.answered = true, .exhausted = true});
  EXPECT_NE(LookFor(seconds(3), {}), std::nullopt);
}

TEST_F(DeafnessTest, AnOldSignDoesNotCountOnceSomebodyHasAnswered) {
  LookFor(milliseconds(250), {.exhausted = true});
  LookFor(milliseconds(500), {.answered = true});
  EXPECT_EQ(LookFor(seconds(24), {}), std::nullopt);
}

TEST_F(DeafnessTest, ASlowServerHasTwentyFiveSeconds) {
  LookFor(seconds(1), {.answered = true});
  EXPECT_EQ(LookFor(milliseconds(24750), {}), std::nullopt);
  EXPECT_EQ(LookFor(seconds(1), {}),
            "no answer for 25.0 s, though there are file descriptors left");
}

TEST_F(DeafnessTest, AnAnswerBeginsAnew) {
  LookFor(seconds(24), {});
  LookFor(milliseconds(250), {.answered = true});
  EXPECT_EQ(LookFor(seconds(24), {}), std::nullopt);
}

TEST_F(DeafnessTest, TimeWithoutAProcessorDoesNotCount) {
  EXPECT_EQ(LookFor(seconds(3600), {}, /*step=*/milliseconds(800)), std::nullopt);
  EXPECT_EQ(LookFor(seconds(3600), {.exhausted = true}, /*step=*/seconds(10)), std::nullopt);
}

}  // namespace
}  // namespace drover
