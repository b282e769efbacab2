// Linked where tests of the emulator run on a real GPU: it stands in for what they ask of the
// emulator. Nobody chooses the order of threads there, and what goes wrong shows in the statuses
// and results. Without a GPU the program runs one test, which skips itself with the reason.

#include <gtest/gtest.h>

#include "tests/gpu/require_gpu.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace drover {
namespace emulator {

void SetSeed(uint64_t) {}

std::vector<std::string> TakeErrors() { return {}; }

}  // namespace emulator

namespace {

TEST(ThisMachineTest, HasAGpu) { DROVER_REQUIRE_GPU(); }

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!drover::ListGpus().ok()) GTEST_FLAG_SET(filter, "ThisMachineTest.HasAGpu");
  return RUN_ALL_TESTS();
}
