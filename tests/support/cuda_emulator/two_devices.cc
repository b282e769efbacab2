// Linked into a program, gives it two emulated devices instead of one.

#include "tests/support/cuda_emulator/emulator.h"

namespace {

[[maybe_unused]] const bool kHasTwoDevices = [] {
  drover::emulator::SetDeviceCount(2);
  return true;
}();

}  // namespace
