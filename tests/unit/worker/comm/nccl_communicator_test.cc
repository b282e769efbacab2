#include "worker/comm/nccl_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/support/fake_nccl.h"

namespace drover {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A second goes by whenever somebody looks.
class HastyClock : public Clock {
 public:
  Instant Now() const override {
    now_ = now_ + seconds(1);
    return now_;
  }
  int64_t UnixMilliseconds() const override { return 0; }

 private:
  mutable Instant now_;
};

class NcclCommunicatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    emulator::SetDeviceCount(3);
    communicator_ = NcclCommunicator::Make(nccl_.Api(), {0, 1, 2}, clock_).value();
    for (int rank = 0; rank < 3; ++rank) {
      buffers_.push_back(DeviceBuffer<int64_t>::Make(rank, 6).value());
      sums_.push_back(buffers_.back().data());
      ASSERT_TRUE(ZeroBytes(communicator_->stream(rank), sums_.back(), 48).ok());
      bytes_.push_back(reinterpret_cast<std::byte*>(sums_.back()));
    }
  }

  void TearDown() override {
    communicator_.reset();
    buffers_.clear();
    emulator::SetDeviceCount(1);
  }

  FakeNccl nccl_;
  HastyClock clock_;
  std::unique_ptr<NcclCommunicator> communicator_;
  std::vector<DeviceBuffer<int64_t>> buffers_;
  std::vector<int64_t*> sums_;
  std::vector<std::byte*> bytes_;
};

TEST_F(NcclCommunicatorTest, AnErrorThatShowsLaterNamesItsRankAndStopsAll) {
  ASSERT_TRUE(communicator_->ReduceScatterInt64(sums_, 2).ok());
  nccl_.ranks_that_never_finish = {0, 1};  // They wait for rank 2, which is gone.
  nccl_.async_error_of_rank = 2;

  const Status status = communicator_->Wait(seconds(100));

  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_EQ(status.message(), "GPU 2 (rank 2 of 3): remote process exited");
  EXPECT_EQ(nccl_.aborted, 3);
}

TEST_F(NcclCommunicatorTest, ARankThatNeverFinishesIsADeadlineNotAHang) {
  ASSERT_TRUE(communicator_->ReduceScatterInt64(sums_, 2).ok());
  nccl_.ranks_that_never_finish = {1};

  const Status status = communicator_->Wait(seconds(20));

  EXPECT_EQ(status.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("rank 1 of 3"), HasSubstr("within 20 s")));
  EXPECT_EQ(nccl_.aborted, 3);
}

TEST_F(NcclCommunicatorTest, ACallThatIsRefusedEndsItsGroupAndSticks) {
  nccl_.call_fails_of_rank = 1;

  const Status first = communicator_->ReduceScatterInt64(sums_, 2);

  EXPECT_EQ(first.code(), Code::kInvalidArgument);
  EXPECT_EQ(first.message(), "reduce-scatter of 2 int64 per GPU, GPU 1: invalid argument");
  EXPECT_FALSE(nccl_.in_group);
  EXPECT_EQ(nccl_.aborted, 3);
  nccl_.call_fails_of_rank = -1;
  const std::vector<LocalCommunicator::Part> parts(3);
  EXPECT_EQ(communicator_->AllGather(bytes_, parts).message(), first.message());
  EXPECT_EQ(communicator_->ReduceScatterInt64(sums_, 0).message(), first.message());
  EXPECT_EQ(communicator_->Wait(seconds(1)).message(), first.message());
}

TEST_F(NcclCommunicatorTest, NothingEnqueuedIsDoneAtOnce) {
  EXPECT_TRUE(communicator_->ReduceScatterInt64(sums_, 0).ok());
  EXPECT_TRUE(communicator_->Wait(seconds(0)).ok());
}

TEST_F(NcclCommunicatorTest, GoesAwayOnce) {
  communicator_.reset();

  EXPECT_EQ(nccl_.destroyed, 3);
  EXPECT_EQ(nccl_.aborted, 0);
}

TEST(NcclCommunicatorStartTest, SaysWhenTheRanksDoNotFindEachOther) {
  FakeNccl nccl;
  nccl.init_result = 6;

  const Status status = NcclCommunicator::Make(nccl.Api(), {0, 0}).status();

  EXPECT_EQ(status.message(), "NCCL over 2 GPUs of this host: remote process exited");
}

TEST(NcclCommunicatorStartTest, RefusesAGpuThatIsNotThere) {
  FakeNccl nccl;

  EXPECT_EQ(NcclCommunicator::Make(nccl.Api(), {99}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace drover
