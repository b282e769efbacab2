#include "common/base/end_signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/logging.h"

namespace drover {
namespace {

// In a process of its own.
void EndWith(int first, int second) {
  InitLogging("ends", {});
  EndSignals signals;
  raise(first);  // Waits: nobody awaits it yet.
  const int received = signals.Await();
  if (second != 0) raise(second);
  _exit(received == first ? 0 : 1);
}

TEST(EndSignalsDeathTest, TheFirstSignalIsHandedToWhoAwaitsIt) {
  EXPECT_EXIT(EndWith(SIGTERM, 0), testing::ExitedWithCode(0), "ends after SIGTERM");
  EXPECT_EXIT(EndWith(SIGINT, 0), testing::ExitedWithCode(0), "ends after SIGINT");
}

TEST(EndSignalsDeathTest, ASecondOneEndsTheProcessAtOnceWithItsNumber) {
  EXPECT_EXIT(EndWith(SIGTERM, SIGTERM), testing::ExitedWithCode(143), "");
  EXPECT_EXIT(EndWith(SIGTERM, SIGINT), testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace drover
