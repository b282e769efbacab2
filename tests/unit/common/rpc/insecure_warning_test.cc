#include "common/rpc/insecure_warning.h"

#include <gtest/gtest.h>

#include <atomic>

#include "common/base/bounded_queue.h"

namespace drover {
namespace {

class HandClock : public Clock {
 public:
  Instant Now() const override { return {Duration(now_.load())}; }
  int64_t UnixMilliseconds() const override { return 0; }
  void Advance(Duration by) { now_ += by.count(); }

 private:
  std::atomic<int64_t> now_ = 0;
};

TEST(PeriodicTest, IsDueAtOnceAndThenEveryMinute) {
  Periodic periodic(std::chrono::minutes(1));
  const auto at = [](int seconds) { return Instant{std::chrono::seconds(seconds)}; };
  EXPECT_TRUE(periodic.Due(at(1000)));
  EXPECT_FALSE(periodic.Due(at(1000)));
  EXPECT_FALSE(periodic.Due(at(1059)));
  EXPECT_TRUE(periodic.Due(at(1060)));
  EXPECT_FALSE(periodic.Due(at(1119)));
  EXPECT_TRUE(periodic.Due(at(1300)));  // A machine that slept: once.
  EXPECT_FALSE(periodic.Due(at(1301)));
}

TEST(InsecureWarningTest, WarnsEveryMinuteOfItsClock) {
  HandClock clock;
  BoundedQueue<int> warnings(8);
  const InsecureWarning warning(
      clock, [&warnings] { warnings.TryPush(1); }, std::chrono::milliseconds(1));
  for (int minute = 0; minute < 3; ++minute) {
    EXPECT_TRUE(warnings.Pop().has_value());
    clock.Advance(std::chrono::minutes(1));
  }
  EXPECT_TRUE(warnings.Pop().has_value());
}

TEST(InsecureWarningTest, OnlyWhoSpeaksPlainTextWithOthersIsWarned) {
  EXPECT_EQ(WarnIfInsecure(false, {"0.0.0.0:1"}), nullptr);
  EXPECT_EQ(WarnIfInsecure(true, {"127.0.0.1:1", "localhost:2", "unix:/a"}), nullptr);
  testing::internal::CaptureStderr();
  EXPECT_NE(WarnIfInsecure(true, {"127.0.0.1:1", "0.0.0.0:2"}), nullptr);
  testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace drover
