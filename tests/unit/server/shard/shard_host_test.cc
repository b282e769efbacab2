// Several jobs in one shard process: each ends where it ends alone.

#include "server/shard/shard_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/bounded_queue.h"
#include "tests/unit/server/shard/runtime_driver.h"
#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kFirst = 0xa1;
constexpr uint64_t kSecond = 0xb2;

class ShardHostTest : public testing::Test {
 protected:
  ShardHostTest()
      : state_dir_(testing::TempDir() + "shard_host_" +
                   testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(state_dir_);
    Start();
  }
  ~ShardHostTest() override {
    host_.reset();
    std::filesystem::remove_all(state_dir_);
  }

  // Begins, or begins again on the same directory.
  void Start() {
    host_.reset();
    ShardRuntimeOptions options;
    options.state_dir = state_dir_;
    options.threads = 1;
    options.device = TestDevice(1);
    options.available_memory = [this] { return available_; };
    Result<std::unique_ptr<ShardHost>> started =
        ShardHost::Start(FileSystem::Real(), Clock::Real(), options, &registry_,
                         [this](ShardReply reply) { replies_.TryPush(std::move(reply)); });
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    host_ = std::move(started).value();
  }

  template <typename T>
  T Await() {
    std::optional<ShardReply> reply = replies_.PopFor(kTestPatience);
    if (!reply.has_value() || !std::holds_alternative<T>(*reply)) {
      ADD_FAILURE() << (reply.has_value() ? "reply number " + std::to_string(reply->index())
                                          : std::string("no reply"));
      return T();
    }
    return std::get<T>(std::move(*reply));
  }

  PlacedReply Place(uint64_t job, uint32_t epoch = 1) {
    PlaceOrder order = SlowJobPlace(layout_, epoch, RuleOf(job));
    order.job = job;
    host_->Post(order);
    return Await<PlacedReply>();
  }
  static Rule RuleOf(uint64_t job) { return job == kFirst ? Rule::kLamb : Rule::kAdamW; }

  // One leaf of one job; the last one lets the shard vote.
  void PushLeaf(uint64_t job, int64_t step, uint32_t leaf) {
    const std::shared_ptr<HostedJob> hosted = host_->Find(job);
    ASSERT_NE(hosted, nullptr);
    for (SlowJobFrame& frame : SlowJobFrames(*layout_, step, leaf)) {
      frame.header.job = job;
      const ReceiveResult result =
          hosted->runtime->accumulator()->Receive(FrameOf(frame.header, frame.payload));
      ASSERT_FALSE(IsRefusal(result.verdict)) << VerdictName(result.verdict);
      if (result.step_complete) hosted->runtime->Post(GradientComplete{{job, 1, step}});
    }
  }
  void Commit(uint64_t job, SlowJob* slow) {
    CommitOrder order = SlowJobCommit(*layout_, slow->version(), 1, RuleOf(job));
    order.fence.job = job;
    host_->Post(order);
    EXPECT_EQ(Await<AppliedReply>().fence.job, job);
    slow->Apply(order.numbers);
  }
  void Step(uint64_t job, SlowJob* slow) {
    for (uint32_t leaf = 0; leaf < kSlowJobLeaves; ++leaf) PushLeaf(job, slow->version(), leaf);
    EXPECT_EQ(Await<PreparedReply>().fence.job, job);
    Commit(job, slow);
  }
  // Waits until the job's orders so far have been carried out.
  std::vector<float> Weights(uint64_t job, uint32_t epoch = 1) {
    PlaceOrder again = SlowJobPlace(layout_, epoch, RuleOf(job));
    again.job = job;
    host_->Post(again);
    (void)Await<PlacedReply>();
    class Taker : public Subscriber {
     public:
      void SendWeights(std::shared_ptr<const WeightsSend> taken) override { send = taken; }
      void SendGone(const FrameHeader&) override {}
      void Cancel() override {}
      std::shared_ptr<const WeightsSend> send;
    };
    const auto taker = std::make_shared<Taker>();
    const std::shared_ptr<HostedJob> hosted = host_->Find(job);
    FrameHeader pull = SlowJobHeader(FrameType::kPull, *layout_, SlowVersion(job), {0, 0}, epoch);
    pull.job = job;
    EXPECT_TRUE(hosted->runtime->publisher().Pull(taker, pull).ok());
    std::vector<float> weights;
    if (taker->send == nullptr) return weights;
    for (size_t chunk = 0; chunk < taker->send->chunk_count(); ++chunk) {
      const std::string bytes =
          ParseFrame(WeightsSend::MakeFrame(taker->send, chunk)).value().PayloadText();
      const auto* elements = reinterpret_cast<const float*>(bytes.data());
      weights.insert(weights.end(), elements, elements + bytes.size() / sizeof(float));
    }
    hosted->runtime->publisher().Remove(taker.get());
    return weights;
  }
  int64_t SlowVersion(uint64_t job) const {
    return job == kFirst ? first_.version() : second_.version();
  }

  const std::string state_dir_;
  const std::shared_ptr<const Layout> layout_ = SlowJobLayout(700);
  SlowJob first_{layout_, RuleOf(kFirst)};
  SlowJob second_{layout_, RuleOf(kSecond)};
  MetricRegistry registry_{MetricRole::kShard};
  BoundedQueue<ShardReply> replies_{100};
  std::optional<int64_t> available_;
  std::unique_ptr<ShardHost> host_;
};

TEST_F(ShardHostTest, StepsOfTwoJobsInterleaveAndEachEndsAsIfAlone) {
  EXPECT_EQ(Place(kFirst).error, "");
  EXPECT_EQ(Place(kSecond).error, "");
  for (uint32_t leaf = 0; leaf + 1 < kSlowJobLeaves; ++leaf) {
    PushLeaf(kFirst, 0, leaf);
    PushLeaf(kSecond, 0, leaf);
  }
  PushLeaf(kSecond, 0, kSlowJobLeaves - 1);
  EXPECT_EQ(Await<PreparedReply>().fence.job, kSecond);
  Commit(kSecond, &second_);
  PushLeaf(kFirst, 0, kSlowJobLeaves - 1);
  EXPECT_EQ(Await<PreparedReply>().fence.job, kFirst);
  Step(kSecond, &second_);
  Commit(kFirst, &first_);

  EXPECT_EQ(Weights(kFirst), first_.weights());
  EXPECT_EQ(Weights(kSecond), second_.weights());
  EXPECT_NE(first_.weights(), second_.weights());
}

TEST_F(ShardHostTest, ReleasingOneJobTouchesNoOther) {
  (void)Place(kFirst);
  (void)Place(kSecond);
  Step(kFirst, &first_);
  Step(kSecond, &second_);
  EXPECT_EQ(host_->Jobs(), (std::vector<uint64_t>{kFirst, kSecond}));

  host_->Post(ReleaseOrder{kFirst});
  EXPECT_EQ(Place(kFirst).fence, (Fence{kFirst, 1, 0}));  // From the beginning.
  host_->Post(ReleaseOrder{kFirst});

  EXPECT_EQ(Weights(kSecond), second_.weights());
  Step(kSecond, &second_);
  EXPECT_EQ(Weights(kSecond), second_.weights());
}

TEST_F(ShardHostTest, WhatAReleasedJobHeldIsGone) {
  (void)Place(kFirst);
  (void)Place(kSecond);
  const std::shared_ptr<HostedJob> hosted = host_->Find(kFirst);

  host_->Post(ReleaseOrder{kFirst});
  while (host_->Find(kFirst) != nullptr) (void)Place(kSecond);  // Repeated orders change nothing.

  EXPECT_EQ(host_->Jobs(), (std::vector<uint64_t>{kSecond}));
  EXPECT_EQ(hosted->runtime->accumulator(), nullptr);
  EXPECT_THAT(registry_.Render(), Not(HasSubstr("00000000000000a1")));
  EXPECT_THAT(registry_.Render(), HasSubstr("00000000000000b2"));
}

TEST_F(ShardHostTest, FiguresOfTwoJobsStandBesideEachOther) {
  (void)Place(kFirst);
  (void)Place(kSecond);
  Step(kFirst, &first_);
  Step(kFirst, &first_);
  Step(kSecond, &second_);
  (void)Weights(kFirst);
  (void)Weights(kSecond);

  const std::string text = registry_.Render();

  EXPECT_THAT(text,
              HasSubstr("drover_shard_version{shard=\"0\",train_job=\"00000000000000a1\"} 2"));
  EXPECT_THAT(text,
              HasSubstr("drover_shard_version{shard=\"0\",train_job=\"00000000000000b2\"} 1"));
}

TEST_F(ShardHostTest, ARestartFindsEveryJobAgain) {
  (void)Place(kFirst);
  (void)Place(kSecond);
  Step(kFirst, &first_);
  Step(kSecond, &second_);
  Step(kSecond, &second_);

  Start();

  EXPECT_EQ(host_->Jobs(), (std::vector<uint64_t>{kFirst, kSecond}));
  EXPECT_EQ(host_->Find(kFirst), nullptr);
  EXPECT_EQ(Place(kSecond, 2).fence, (Fence{kSecond, 2, 2}));
  EXPECT_EQ(Place(kFirst, 2).fence, (Fence{kFirst, 2, 1}));
  EXPECT_EQ(Weights(kFirst, 2), first_.weights());
  EXPECT_EQ(Weights(kSecond, 2), second_.weights());
}

TEST_F(ShardHostTest, FilesOfAJobThatIsNotPlacedAreRemovedByARelease) {
  (void)Place(kFirst);
  Start();
  ASSERT_EQ(host_->Jobs(), (std::vector<uint64_t>{kFirst}));

  host_->Post(ReleaseOrder{kFirst});
  while (host_->Find(kFirst) != nullptr) (void)Place(kSecond);

  EXPECT_EQ(host_->Jobs(), (std::vector<uint64_t>{kSecond}));
}

TEST_F(ShardHostTest, AnOrderForAJobThatIsNotHereDoesNothing) {
  host_->Post(StableOrder{{kFirst, 1, 0}});

  EXPECT_EQ(host_->Find(kFirst), nullptr);
  EXPECT_EQ(Place(kFirst).error, "");
}

TEST_F(ShardHostTest, OneJobMoreThanItHoldsIsRefused) {
  for (uint64_t job = 1; job <= ShardHost::kJobsMax; ++job) EXPECT_EQ(Place(job).error, "");

  EXPECT_EQ(Place(999).error, "64 jobs are placed here already");
  EXPECT_EQ(host_->Find(999), nullptr);
}

TEST_F(ShardHostTest, AJobThatDoesNotFitBesideAnotherIsRefusedWhenItBegins) {
  available_ = 1000;
  EXPECT_EQ(Place(kFirst).error, "");  // Nobody else suffers.
  PlaceOrder order = SlowJobPlace(layout_);
  order.job = kSecond;
  order.discard = true;

  host_->Post(order);
  EXPECT_EQ(Await<PlacedReply>().error,
            "the job needs 0 MB of memory here, 0 MB are left beside 1 other job");
  EXPECT_EQ(host_->Find(kSecond), nullptr);

  order.discard = false;  // It was here before.
  host_->Post(order);
  EXPECT_EQ(Await<PlacedReply>().error, "");
}

TEST_F(ShardHostTest, ASecondProcessMayNotUseTheDirectory) {
  (void)Place(kFirst);
  ShardRuntimeOptions options;
  options.state_dir = state_dir_;
  options.device = TestDevice(1);

  const auto second =
      ShardHost::Start(FileSystem::Real(), Clock::Real(), options, &registry_, nullptr);

  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace drover
