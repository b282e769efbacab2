#include "common/rpc/port_watchdog.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/base/bounded_queue.h"
#include "tests/support/loopback_port.h"

namespace drover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

PortWatchdog::Options WatchOptions(const LoopbackPort& port, BoundedQueue<std::string>* told,
                                   bool exhausted) {
  PortWatchdog::Options options;
  options.address = port.At("127.0.0.1");
  options.on_deaf = [told](const std::string& why) { told->TryPush(why); };
  options.limits = {milliseconds(30), seconds(1000), seconds(60)};
  options.every = options.look = milliseconds(10);
  options.exhausted = [exhausted] { return exhausted; };
  return options;
}

TEST(PortWatchdogTest, AProbeTellsAServerFromAKernelThatOnlyListens) {
  LoopbackPort port;
  PortProbe unheard(port.At("127.0.0.1"));
  EXPECT_EQ(unheard.Wait(milliseconds(50)), PortProbe::State::kWaiting);
  EXPECT_EQ(unheard.why(), "connected, but nobody takes the connection");
  port.Serve([](int) {});
  EXPECT_EQ(unheard.Wait(seconds(60)), PortProbe::State::kAnswered);
  EXPECT_EQ(PortProbe(port.At("0.0.0.0")).Wait(seconds(60)), PortProbe::State::kAnswered);
  EXPECT_EQ(PortProbe(port.At("localhost")).Wait(seconds(60)), PortProbe::State::kAnswered);
  EXPECT_EQ(PortProbe("no port").Wait(seconds(60)), PortProbe::State::kFailed);
}

TEST(PortWatchdogTest, SaysOnceThatAPortIsDeafWhenDescriptorsHaveRunOut) {
  LoopbackPort port;
  BoundedQueue<std::string> told(4);
  PortWatchdog watchdog(WatchOptions(port, &told, /*exhausted=*/true));

  const std::optional<std::string> why = told.PopFor(seconds(60));

  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("descriptors have run out: connected, but nobody takes"), std::string::npos)
      << *why;
  EXPECT_FALSE(told.PopFor(milliseconds(50)).has_value());
}

TEST(PortWatchdogTest, AServerThatIsOnlySlowIsWaitedFor) {
  LoopbackPort port;
  BoundedQueue<std::string> told(4);
  PortWatchdog watchdog(WatchOptions(port, &told, /*exhausted=*/false));

  EXPECT_FALSE(told.PopFor(milliseconds(100)).has_value());
}

TEST(PortWatchdogTest, EndsWhileItWaits) {
  LoopbackPort port;
  port.Serve([](int) {});
  BoundedQueue<std::string> told(4);
  PortWatchdog::Options options = WatchOptions(port, &told, /*exhausted=*/false);
  options.every = seconds(1000);
  PortWatchdog watchdog(options);
}

TEST(PortWatchdogTest, DescriptorsAreScarceWhenTheLimitIsNear) {
  EXPECT_FALSE(DescriptorsAreScarce());
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = 4;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);

  EXPECT_TRUE(DescriptorsAreScarce());

  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(PortWatchdogTest, AsManyDescriptorsAsAllowed) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = limit.rlim_max < 64 ? limit.rlim_max : 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);

  EXPECT_EQ(RaiseDescriptorLimit().value(), static_cast<int64_t>(before.rlim_max));

  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, before.rlim_max);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace drover
