#include "worker/train/gpu_memory_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/train/small_job.h"
#include "worker/nn/gpu_memory.h"
#include "worker/nn/leaf_model.h"

namespace drover {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

size_t BytesWith(const JobSetup& setup, int64_t micro_batch) {
  return GpuMemoryNeedsOf(setup.network, {.micro_batch = micro_batch}, /*leaf_samples=*/1,
                          {.free_bytes = 0})
      .value()
      .bytes;
}

TEST(GpuMemoryReportTest, NamesWhatIsNeededAndTheLargestMicroBatchOfALeafThatFits) {
  JobSetup setup = SmallJob();
  setup.phases[0].batch = 4 * 6000;
  setup.phases[0].micro_batch = 1000;
  const auto largest = [&](size_t free) {
    return ReportGpuMemory(setup, {.free_bytes = free}).value().text;
  };
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

  const std::string report = ReportGpuMemory(setup, {.free_bytes = size_t{1} << 40}).value().text;

  EXPECT_THAT(report, StartsWith("micro_batch=4 needs "));
  EXPECT_THAT(report, HasSubstr("the largest that fits is 8; micro_batch=2 needs "));
}

TEST(GpuMemoryReportTest, SaysWhatIsMissingOfAGpuThatIsTooSmall) {
  JobSetup setup = SmallJob();
  const size_t needed = BytesWith(setup, setup.phases[0].micro_batch);

  const GpuMemoryReport tight = ReportGpuMemory(setup, {.free_bytes = needed}).value();
  const GpuMemoryReport small = ReportGpuMemory(setup, {.free_bytes = needed - (1 << 10)}).value();
  setup.phases.insert(setup.phases.begin(), setup.phases[0]);
  setup.phases[0].micro_batch = 1;
  const GpuMemoryReport later = ReportGpuMemory(setup, {.free_bytes = needed - (1 << 10)}).value();

  EXPECT_TRUE(tight.fits);
  EXPECT_THAT(tight.text, Not(HasSubstr("missing")));
  EXPECT_FALSE(small.fits);
  EXPECT_THAT(small.text, HasSubstr(": 0.0 MiB are missing; "));
  EXPECT_FALSE(later.fits);
}

// Each GPU holds the sums that it exchanges with the others: 8 bytes per weight.
TEST(GpuMemoryReportTest, SeveralGpusNeedMoreEach) {
  const JobSetup setup = SmallJob();
  const auto needs = [&](int gpus) {
    return GpuMemoryNeedsOf(setup.network, {.micro_batch = 4}, 8,
                            {.free_bytes = size_t{1} << 40, .gpus = gpus})
        .value();
  };
  const size_t weights = [&] {
    const Layout layout = MakeCpuLeafModel(setup.network, {.micro_batch = 4}).value()->layout();
    return layout.SpanElements(layout.all_blocks());
  }();

  EXPECT_EQ(needs(2).bytes, needs(1).bytes + 8 * weights);
  EXPECT_EQ(needs(4).bytes, needs(2).bytes);
  EXPECT_THAT(needs(4).text, HasSubstr(" for the sums of 4 GPUs"));
  EXPECT_THAT(needs(1).text, Not(HasSubstr("GPUs")));
}

TEST(GpuMemoryReportTest, TheGpuWithTheLeastFreeMemoryDecides) {
  std::vector<GpuInfo> gpus(2);
  gpus[0].free_bytes = 9;
  gpus[1].free_bytes = 7;

  const GpuRoom room = RoomOf(gpus);

  EXPECT_EQ(room.free_bytes, 7u);
  EXPECT_EQ(room.gpus, 2);
}

TEST(GpuMemoryReportTest, SaysWhyAModelCannotBe) {
  JobSetup setup = SmallJob();
  setup.phases[0].micro_batch = 0;

  EXPECT_EQ(ReportGpuMemory(setup, {.free_bytes = 1000}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace drover
