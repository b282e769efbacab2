#include "common/base/machine_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace drover {
namespace {

class MachineMemoryTest : public testing::Test {
 protected:
  MachineMemoryTest() { std::filesystem::remove_all(root_); }
  ~MachineMemoryTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  const std::string root_ = testing::TempDir() + "machine_memory_test";
};

TEST_F(MachineMemoryTest, NobodyKnowsWithoutTheSystemsFiles) {
  EXPECT_FALSE(ReadMachineMemory(root_).total.has_value());
  EXPECT_FALSE(ReadMachineMemory(root_).available.has_value());
}

TEST_F(MachineMemoryTest, TheMachineSaysWhatItHasAndWhatIsAvailable) {
  Write("/proc/meminfo",
        "MemTotal:  200 kB\nMemFree:  10 kB\nMemAvailable:  100 kB\nBuffers: 1 kB\n");
  EXPECT_EQ(ReadMachineMemory(root_).total, 204'800);
  EXPECT_EQ(ReadMachineMemory(root_).available, 102'400);

  Write("/sys/fs/cgroup/memory.max", "max\n");
  Write("/sys/fs/cgroup/memory.current", "5000\n");
  EXPECT_EQ(ReadMachineMemory(root_).total, 204'800);
  EXPECT_EQ(ReadMachineMemory(root_).available, 102'400);
}

TEST_F(MachineMemoryTest, AContainersLimitCountsWithoutItsFileCache) {
  Write("/proc/meminfo", "MemTotal:  200 kB\nMemAvailable:  100 kB\n");
  Write("/sys/fs/cgroup/memory.max", "60000\n");
  Write("/sys/fs/cgroup/memory.current", "50000\n");
  EXPECT_EQ(ReadMachineMemory(root_).total, 60'000);
  EXPECT_EQ(ReadMachineMemory(root_).available, 10'000);

  Write("/sys/fs/cgroup/memory.stat", "anon 20000\nfile 30000\ninactive_file 25000\n");
  EXPECT_EQ(ReadMachineMemory(root_).available, 35'000);

  Write("/sys/fs/cgroup/memory.max", "20000\n");
  EXPECT_EQ(ReadMachineMemory(root_).available, 0);
}

TEST_F(MachineMemoryTest, ThisMachineHasMore) {
  const MachineMemory here = ReadMachineMemory();
  ASSERT_TRUE(here.total.has_value() && here.available.has_value());
  EXPECT_GT(*here.available, 0);
  EXPECT_LE(*here.available, *here.total);
}

}  // namespace
}  // namespace drover
