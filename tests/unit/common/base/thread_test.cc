#include "common/base/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <utility>

namespace drover {
namespace {

TEST(ThreadTest, RunsItsBodyBeforeJoinReturns) {
  std::atomic<int> runs = 0;
  Thread thread("worker", [&] { ++runs; });

  thread.Join();
  thread.Join();

  EXPECT_EQ(runs, 1);
}

TEST(ThreadTest, DestructorAndAssignmentJoin) {
  std::atomic<int> runs = 0;
  {
    Thread thread("first", [&] { ++runs; });
    thread = Thread("second", [&] { ++runs; });
    EXPECT_GE(runs, 1);
  }
  EXPECT_EQ(runs, 2);
}

TEST(ThreadTest, NameIsCutToWhatTheKernelKeeps) {
  std::array<char, 16> name = {};
  Thread thread("a-name-longer-than-fifteen",
                [&] { pthread_getname_np(pthread_self(), name.data(), name.size()); });

  thread.Join();

  EXPECT_STREQ(name.data(), "a-name-longer-t");
}

TEST(ThreadTest, ThereIsAlwaysACore) { EXPECT_GE(CoreCount(), 1); }

}  // namespace
}  // namespace drover
