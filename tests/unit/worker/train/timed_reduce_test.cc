#include "worker/train/timed_reduce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace drover {
namespace {

using ::testing::HasSubstr;

// Answers what it is told to.
class FakeReduce : public HostReduce {
 public:
  const ReduceSegments& segments() const override { return segments_; }
  uint64_t Begin() override { return 7; }
  Status Deposit(uint64_t lease, size_t segment, const GpuStream& /*stream*/,
                 const int64_t* /*sums*/) override {
    return Status(Code::kCancelled, std::to_string(lease) + "/" + std::to_string(segment));
  }
  Status Finish(uint64_t lease, size_t segment, int64_t* space) override {
    space[0] = static_cast<int64_t>(10 * lease + segment);
    return answer;
  }
  Status Gather(std::span<const Share> shares) override {
    gathered += shares.size();
    return answer;
  }

  Status answer;
  size_t gathered = 0;

 private:
  const ReduceSegments segments_{Layout::Make({{"a", {3}, {}}}).value(), 1};
};

class TimedReduceTest : public testing::Test {
 protected:
  TimedReduceTest() { metrics_.SetJob(7, 2); }

  std::string Count(const std::string& operation, int count) {
    return "drover_collective_duration_seconds_count{operation=\"" + operation +
           "\",train_job=\"0000000000000007\"} " + std::to_string(count) + "\n";
  }

  MetricRegistry registry_{MetricRole::kWorker};
  WorkerMetrics metrics_{&registry_, "w"};
  const std::shared_ptr<FakeReduce> real_ = std::make_shared<FakeReduce>();
  TimedReduce reduce_{real_, &metrics_};
};

TEST_F(TimedReduceTest, CollectivesAreTimedByWhatTheyDo) {
  int64_t space = 0;
  EXPECT_TRUE(reduce_.Finish(4, 2, &space).ok());
  EXPECT_TRUE(reduce_.Finish(4, 1, &space).ok());
  EXPECT_EQ(space, 41);
  EXPECT_TRUE(reduce_.Gather(std::vector<HostReduce::Share>(3)).ok());
  EXPECT_EQ(real_->gathered, 3u);

  EXPECT_THAT(registry_.Render(), HasSubstr(Count("reduce_scatter", 2)));
  EXPECT_THAT(registry_.Render(), HasSubstr(Count("all_gather", 1)));
}

TEST_F(TimedReduceTest, ThoseThatFailAreNot) {
  int64_t space = 0;
  real_->answer = Status(Code::kUnavailable, "a GPU is gone");
  EXPECT_EQ(reduce_.Finish(4, 2, &space).code(), Code::kUnavailable);
  EXPECT_EQ(reduce_.Gather({}).code(), Code::kUnavailable);

  EXPECT_THAT(registry_.Render(), HasSubstr(Count("reduce_scatter", 0)));
  EXPECT_THAT(registry_.Render(), HasSubstr(Count("all_gather", 0)));
}

}  // namespace
}  // namespace drover
