#include "worker/train/gpu_memory_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/train/small_job.h"
#include "worker/nn/gpu_memory.h"

namespace drover {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

size_t BytesWith(const JobSetup& setup, int64_t micro_batch) {
  return GpuMemoryNeedsOf(setup.network, {.micro_batch = micro_batch}, /*leaf_samples=*/1,
                          /*free_bytes=*/0)
      .value()
      .bytes;
}

TEST(GpuMemoryReportTest, NamesWhatIsNeededAndTheLargestMicroBatchOfALeafThatFits) {
  JobSetup setup = SmallJob();
  setup.phases[0].batch = 4 * 6000;
  setup.phases[0].micro_batch = 1000;
  const auto largest = [&](size_t free) { return GpuMemoryReport(setup, free).value(); };
  // 1500 and 2000 divide 6000, what lies between does not.
  ASSERT_LT(BytesWith(setup, 1500), BytesWith(setup, 2000));

  EXPECT_THAT(largest(BytesWith(setup, 1500)), HasSubstr("; the largest that fits is 1500"));
  EXPECT_THAT(largest(BytesWith(setup, 2000) - 1), HasSubstr("; the largest that fits is 1500"));
  EXPECT_THAT(largest(BytesWith(setup, 2000)), HasSubstr("; the largest that fits is 2000"));
  EXPECT_THAT(largest(size_t{1} << 40), HasSubstr("; the largest that fits is 6000"));
  EXPECT_THAT(largest(size_t{1} << 40), StartsWith("micro_batch=1000 needs "));
  EXPECT_THAT(largest(1000), HasSubstr("not even a micro-batch of 1 fits"));
}

TEST(GpuMemoryReportTest, HasASentenceForEachPhase) {
  JobSetup setup = SmallJob();
  setup.phases.push_back({.first_step = 3, .batch = 16, .leaves = 4, .micro_batch = 2});

  const std::string report = GpuMemoryReport(setup, size_t{1} << 40).value();

  EXPECT_THAT(report, StartsWith("micro_batch=4 needs "));
  EXPECT_THAT(report, HasSubstr("the largest that fits is 8; micro_batch=2 needs "));
}

TEST(GpuMemoryReportTest, SaysWhyAModelCannotBe) {
  JobSetup setup = SmallJob();
  setup.phases[0].micro_batch = 0;

  EXPECT_EQ(GpuMemoryReport(setup, 1000).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace drover
