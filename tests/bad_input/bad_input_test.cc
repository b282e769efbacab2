// The catalogue of bad inputs, 100 cases in seven groups. Each is sent to real servers with mutual
// TLS in this process; after each everything that watch.h names must hold.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <set>
#include <utility>

#include "common/base/logging.h"
#include "tests/bad_input/case.h"
#include "tests/bad_input/victim.h"
#include "tests/bad_input/watch.h"
#include "tests/bad_input/world.h"

namespace drover::bad_input {

// For messages of gtest, which looks for it beside Case.
void PrintTo(const Case& row, std::ostream* out) { *out << row.title; }

namespace {

constexpr int kCases = 100;
constexpr int kCalmCalls = 90;  // As many as a user may make at once, nearly.

// Of the group that the catalogue gives to this number.
char GroupOf(int number) {
  if (number <= 28) return 'T';
  if (number <= 41) return 'A';
  if (number <= 64) return 'J';
  if (number <= 74) return 'W';
  if (number <= 91) return 'P';
  if (number <= 94) return 'S';
  return 'D';
}

std::vector<Case> Table() {
  std::vector<Case> table;
  for (const auto& cases :
       {TransportCases(), ConnectionCases(), AuthorizationCases(), JobCases(), DataCases(),
        WorkerCases(), PushCases(), ShardCases(), DroverFrameCases()}) {
    table.insert(table.end(), cases.begin(), cases.end());
  }
  std::sort(table.begin(), table.end(),
            [](const Case& a, const Case& b) { return a.number < b.number; });
  return table;
}

// Lives from the first case to the last.
struct Scene {
  Scene() {
    signal(SIGPIPE, SIG_IGN);
    // Once, also with --gtest_repeat.
    [[maybe_unused]] static const bool logs = (InitLogging("bad-input", {}), true);
    {
      // What the victim's weights are after each step when nobody disturbs it.
      World undisturbed;
      for (int step = 0; step < kCases + 5; ++step) digests.push_back(undisturbed.victim().Step());
    }
    world = std::make_unique<World>();
    log = std::make_unique<CapturedLog>(world->NewFolder("log") + "/stderr");
    {
      GoodUser alone(world.get(), "alone");
      alone.SetMeasured(true);
      for (int i = 0; i < kCalmCalls; ++i) EXPECT_TRUE(alone.AwaitAnswer());
      calm = alone.latencies();
    }
    user = std::make_unique<GoodUser>(world.get(), "good");
    EXPECT_TRUE(user->AwaitAnswer());
  }
  // No test judges these figures: attackers, servers and the good user share this machine.
  void Report() {
    log.reset();
    fmt::print("a good user alone: {}; while bad inputs come: {}\n", calm.Summary(),
               user->latencies().Summary());
  }

  std::vector<uint32_t> digests;
  Latencies calm;
  std::unique_ptr<World> world;
  std::unique_ptr<CapturedLog> log;
  std::unique_ptr<GoodUser> user;
};

class BadInput : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { scene_ = std::make_unique<Scene>(); }
  static void TearDownTestSuite() {
    scene_->Report();
    scene_.reset();
  }
  static std::unique_ptr<Scene> scene_;
};
std::unique_ptr<Scene> BadInput::scene_;

TEST_P(BadInput, IsRefusedAndHarmsNobody) {
  const Case& row = GetParam();
  SCOPED_TRACE(fmt::format("{:02} {}", row.number, row.title));
  Watch watch(scene_->world.get(), scene_->log.get(), scene_->user.get(), &scene_->digests);
  scene_->user->SetMeasured(true);
  row.run(*scene_->world);
  scene_->user->SetMeasured(false);
  watch.ExpectHarmless(row);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, BadInput, testing::ValuesIn(Table()), [](const auto& tested) {
  return fmt::format("{}{:02}", GroupOf(tested.param.number), tested.param.number);
});

TEST(BadInputTable, HasEveryNumberOnce) {
  std::set<int> numbers;
  for (const Case& row : Table()) {
    EXPECT_TRUE(numbers.insert(row.number).second) << row.number << " twice";
  }
  for (int number = 1; number <= kCases; ++number) {
    EXPECT_TRUE(numbers.contains(number)) << number << " is missing";
  }
  EXPECT_EQ(numbers.size(), size_t{kCases});
}

}  // namespace
}  // namespace drover::bad_input
