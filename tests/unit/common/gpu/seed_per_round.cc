// Linked into a test program of the emulator: with --gtest_repeat (or GTEST_REPEAT) each round runs
// under the next seed, so that tests written for a real GPU see many orders.

#include <gtest/gtest.h>

#include "tests/support/cuda_emulator/emulator.h"

namespace drover {
namespace {

class SeedPerRound : public ::testing::EmptyTestEventListener {
 public:
  void OnTestIterationStart(const ::testing::UnitTest&, int iteration) override {
    emulator::SetSeed(static_cast<uint64_t>(iteration));
  }
};

// The listeners own it.
const bool kIsRegistered =
    (::testing::UnitTest::GetInstance()->listeners().Append(new SeedPerRound), true);

}  // namespace
}  // namespace drover
