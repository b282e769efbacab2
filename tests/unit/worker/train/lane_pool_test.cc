#include "worker/train/lane_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "common/base/bounded_queue.h"
#include "tests/unit/worker/train/small_job.h"
#include "worker/train/eval_run.h"

namespace drover {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

std::vector<LeafModelMaker> OnCpu(uint32_t lanes) {
  return std::vector<LeafModelMaker>(lanes, MakeCpuLeafModel);
}

// Notes who came, and holds lanes until it is let go.
class NotedWork : public LaneWork {
 public:
  void RunOn(LeafRunner* /*runner*/, float* lane_buffer) override {
    lane_buffer[0] = 1.0f;
    began.Push(true);
    (void)release.Pop();
  }
  BoundedQueue<bool> began{100};
  BoundedQueue<bool> release{100};
};

TEST(LanePoolTest, EveryLaneRunsTheWork) {
  const auto lanes = LanePool::Make(SmallJob(), OnCpu(3)).value();
  const auto work = std::make_shared<NotedWork>();

  lanes->Start(work);

  for (int lane = 0; lane < 3; ++lane) EXPECT_TRUE(work->began.PopFor(kPatience).has_value());
  work->release.Close();
}

TEST(LanePoolTest, WorkThatNobodyHoldsIsNotBegun) {
  const auto lanes = LanePool::Make(SmallJob(), OnCpu(1)).value();
  const auto first = std::make_shared<NotedWork>();
  const auto last = std::make_shared<NotedWork>();
  lanes->Start(first);
  ASSERT_TRUE(first->began.PopFor(kPatience).has_value());
  for (int i = 0; i < 1000; ++i) lanes->Start(std::make_shared<NotedWork>());  // Never blocks.
  lanes->Start(last);
  first->release.Close();

  EXPECT_TRUE(last->began.PopFor(kPatience).has_value());
  last->release.Close();
}

TEST(LanePoolTest, ModelThatCannotBeMadeIsAnError) {
  JobSetup setup = SmallJob();
  setup.network.head.kind = SoftmaxCrossEntropySpec{.classes = 0};
  EXPECT_EQ(LanePool::Make(setup, OnCpu(2)).status().code(), Code::kInvalidArgument);
}

class EvalRunTest : public testing::Test {
 protected:
  // Evaluates [begin, end) on this many lanes until it is done or broken.
  std::shared_ptr<EvalRun> Run(const JobSetup& setup, uint32_t lanes, int64_t begin, int64_t end) {
    pool_ = LanePool::Make(setup, OnCpu(lanes)).value();
    v1::EvalLease order;
    order.set_sample_begin(begin);
    order.set_sample_end(end);
    auto run =
        std::make_shared<EvalRun>(order, setup.phases[0].micro_batch, WeightsOf(pool_->layout(), 0),
                                  [this] { changed_.TryPush(true); });
    pool_->Start(run);
    EXPECT_TRUE(changed_.PopFor(kPatience).has_value());
    return run;
  }

  BoundedQueue<bool> changed_{100};
  std::unique_ptr<LanePool> pool_;
};

TEST_F(EvalRunTest, IsTheSameForAnyNumberOfLanesAndPieces) {
  const auto whole = Run(SmallJob(), 1, 0, 30);
  const auto lanes = Run(SmallJob(), 4, 0, 30);
  const EvalStats front = Run(SmallJob(), 2, 0, 16)->total();
  const EvalStats back = Run(SmallJob(), 2, 16, 30)->total();

  EXPECT_TRUE(whole->done());
  EXPECT_EQ(whole->total().samples, 30);
  EXPECT_EQ(lanes->total(), whole->total());
  EXPECT_EQ(front.loss + back.loss, whole->total().loss);
  EXPECT_EQ(front.correct + back.correct, whole->total().correct);
}

TEST_F(EvalRunTest, ModelThatFailsBreaksIt) {
  SmallDataset test;
  test.bad = 9;
  test.bad_label = -1;
  const auto run = Run(SmallJob({}, test), 2, 0, 30);

  EXPECT_FALSE(run->done());
  EXPECT_NE(run->broken().find("label -1"), std::string::npos);
}

TEST_F(EvalRunTest, CancelledOneTakesNoMoreSamples) {
  const JobSetup setup = SmallJob();
  const auto runner = LeafRunner::Make(setup).value();
  v1::EvalLease order;
  order.set_sample_end(30);
  EvalRun run(order, setup.phases[0].micro_batch, WeightsOf(runner->layout(), 0), [] {});
  run.Cancel();

  run.RunOn(runner.get(), nullptr);

  EXPECT_EQ(run.total().samples, 0);
  EXPECT_FALSE(run.done());
}

}  // namespace
}  // namespace drover
