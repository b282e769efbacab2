#include "tests/support/cuda_emulator/block.h"

#include <fmt/format.h>

#include <string_view>

namespace drover::emulator {

const char* NameOf(BarrierKind kind) {
  switch (kind) {
    case BarrierKind::kPlain:
      return "__syncthreads";
    case BarrierKind::kOr:
      return "__syncthreads_or";
    case BarrierKind::kAnd:
      return "__syncthreads_and";
    case BarrierKind::kCount:
      return "__syncthreads_count";
  }
  return "?";
}

const char* NameOf(WarpFunction function) {
  switch (function) {
    case WarpFunction::kSync:
      return "__syncwarp";
    case WarpFunction::kBallot:
      return "a vote of its warp";
    case WarpFunction::kShuffle:
      return "__shfl_sync";
    case WarpFunction::kShuffleUp:
      return "__shfl_up_sync";
    case WarpFunction::kShuffleDown:
      return "__shfl_down_sync";
    case WarpFunction::kShuffleXor:
      return "__shfl_xor_sync";
  }
  return "?";
}

std::string PlaceOf(const Site& site) {
  const std::string_view file = site.file;
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), site.line);
}

std::string NameOf(const Thread& thread) {
  return fmt::format("thread ({},{},{})", thread.position.x, thread.position.y, thread.position.z);
}

std::string Describe(const Thread& thread) {
  const std::string name = NameOf(thread);
  switch (thread.waiting) {
    case Waiting::kNo:
      return name + " runs";
    case Waiting::kBarrier:
      return fmt::format("{} waits in {} at {}", name, NameOf(thread.block->barrier_kind),
                         PlaceOf(thread.site));
    case Waiting::kWarp:
      return fmt::format("{} waits in {} at {}", name, NameOf(thread.warp_call.function),
                         PlaceOf(thread.site));
    case Waiting::kSpin:
      return name + " waits in SpinWait for another thread";
    case Waiting::kEnded:
      return name + " has ended";
  }
  return name;
}

std::string WaitsForEnded(const Thread& thread) {
  if (thread.block->at_barrier == 0 && thread.block->in_warp_functions == 0) return "";
  const unsigned int warp = thread.index / 32;
  const unsigned int lane_bit = 1u << (thread.index % 32);
  for (const Thread& other : thread.block->threads) {
    const bool at_barrier = other.waiting == Waiting::kBarrier;
    const bool in_warp = other.waiting == Waiting::kWarp && other.index / 32 == warp &&
                         (other.warp_call.mask & lane_bit) != 0;
    if (at_barrier || in_warp) {
      return fmt::format("ends, but {} for all of its {}", Describe(other),
                         at_barrier ? "block" : "mask");
    }
  }
  return "";
}

}  // namespace drover::emulator
