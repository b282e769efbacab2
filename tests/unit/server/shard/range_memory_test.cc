#include "server/shard/range_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/server/shard/slow_job.h"

namespace drover {
namespace {

class AvailableMemoryTest : public testing::Test {
 protected:
  AvailableMemoryTest() { std::filesystem::remove_all(root_); }
  ~AvailableMemoryTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  const std::string root_ = testing::TempDir() + "available_memory_test";
};

TEST_F(AvailableMemoryTest, NobodyKnowsWithoutTheSystemsFiles) {
  EXPECT_FALSE(AvailableMemory(root_).has_value());
}

TEST_F(AvailableMemoryTest, TheMachineSaysWhatIsAvailable) {
  Write("/proc/meminfo",
        "MemTotal:  200 kB\nMemFree:  10 kB\nMemAvailable:  100 kB\nBuffers: 1 kB\n");
  EXPECT_EQ(AvailableMemory(root_), 102'400u);

  Write("/sys/fs/cgroup/memory.max", "max\n");
  Write("/sys/fs/cgroup/memory.current", "5000\n");
  EXPECT_EQ(AvailableMemory(root_), 102'400u);
}

TEST_F(AvailableMemoryTest, AContainersLimitCountsWithoutItsFileCache) {
  Write("/proc/meminfo", "MemAvailable:  100 kB\n");
  Write("/sys/fs/cgroup/memory.max", "60000\n");
  Write("/sys/fs/cgroup/memory.current", "50000\n");
  EXPECT_EQ(AvailableMemory(root_), 10'000u);

  Write("/sys/fs/cgroup/memory.stat", "anon 20000\nfile 30000\ninactive_file 25000\n");
  EXPECT_EQ(AvailableMemory(root_), 35'000u);

  Write("/sys/fs/cgroup/memory.max", "20000\n");
  EXPECT_EQ(AvailableMemory(root_), 0u);
}

TEST(RangeBytesTest, SumsVersionsAndTheArraysOfTheRule) {
  const auto layout = SlowJobLayout(1000);
  const uint64_t elements = layout->SpanElements(layout->all_blocks());
  PlaceOrder place = SlowJobPlace(layout, 1, Rule::kLamb);  // Two moments.
  EXPECT_EQ(RangeBytes(place), elements * (8 + 3 * 4 + 2 * 4));
  place.publish_bf16 = true;
  place.rule = Rule::kSgd;
  EXPECT_EQ(RangeBytes(place), elements * (8 + 3 * 4 + 2));
}

}  // namespace
}  // namespace drover
