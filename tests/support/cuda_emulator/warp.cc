// Functions that the lanes of a warp call together: each waits until all lanes of its mask are
// there, and all must have come with the same call.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/support/cuda_emulator/grid.h"

namespace drover::emulator {
namespace {

constexpr unsigned int kLanes = 32;

// The lanes of the running thread's warp; fewer than 32 in the last one of a block.
struct Warp {
  explicit Warp(Thread& self)
      : index(self.index / kLanes),
        first(&self.block->threads[index * kLanes]),
        lanes(std::min<unsigned int>(
            kLanes, static_cast<unsigned int>(self.block->threads.size()) - index * kLanes)) {}

  Thread& at(unsigned int lane) const { return first[lane]; }

  const unsigned int index;
  Thread* const first;
  const unsigned int lanes;
};

bool Names(unsigned int mask, unsigned int lane) { return ((mask >> lane) & 1u) != 0; }

// Why the lanes of the call's mask will never all come; empty when they may.
std::string WhyNotTogether(const Warp& warp, const Thread& self) {
  const WarpCall& call = self.warp_call;
  if (!Names(call.mask, self.index % kLanes)) return "which does not name its own lane";
  for (unsigned int lane = 0; lane < kLanes; ++lane) {
    if (!Names(call.mask, lane)) continue;
    if (lane >= warp.lanes) return fmt::format("which names lane {} of {}", lane, warp.lanes);
    const Thread& other = warp.at(lane);
    if (other.waiting == Waiting::kEnded || other.waiting == Waiting::kBarrier) {
      return "but " + Describe(other);
    }
    if (other.waiting == Waiting::kWarp &&
        (other.warp_call.function != call.function || other.warp_call.mask != call.mask ||
         other.site != self.site)) {
      return fmt::format("but {} with mask {:#010x}", Describe(other), other.warp_call.mask);
    }
  }
  return "";
}

bool AllAreThere(const Warp& warp, unsigned int mask) {
  for (unsigned int lane = 0; lane < warp.lanes; ++lane) {
    if (Names(mask, lane) && warp.at(lane).waiting != Waiting::kWarp) return false;
  }
  return true;
}

// Which lane `lane` reads from. Out of its segment it keeps its own value, as CUDA does.
unsigned int SourceLane(const WarpCall& call, unsigned int lane) {
  const auto width = static_cast<unsigned int>(call.width);
  const unsigned int segment = lane / width * width;
  switch (call.function) {
    case WarpFunction::kShuffle:
      return segment + call.lane % width;
    case WarpFunction::kShuffleUp:
      return lane >= segment + call.lane ? lane - call.lane : lane;
    case WarpFunction::kShuffleDown:
      return lane + call.lane < segment + width ? lane + call.lane : lane;
    case WarpFunction::kShuffleXor:
      return (lane ^ call.lane) < segment + width ? lane ^ call.lane : lane;
    case WarpFunction::kSync:
    case WarpFunction::kBallot:
      break;
  }
  return lane;
}

// Why a lane reads one that takes no part; empty when none does.
std::string WhyNoSource(const Warp& warp, unsigned int mask) {
  for (unsigned int lane = 0; lane < warp.lanes; ++lane) {
    if (!Names(mask, lane)) continue;
    const unsigned int source = SourceLane(warp.at(lane).warp_call, lane);
    if (!Names(mask, source)) return fmt::format("but lane {} reads lane {}", lane, source);
  }
  return "";
}

void Exchange(const Warp& warp, unsigned int mask) {
  uint64_t ballot = 0;
  for (unsigned int lane = 0; lane < warp.lanes; ++lane) {
    if (Names(mask, lane) && warp.at(lane).warp_call.value != 0) ballot |= uint64_t{1} << lane;
  }
  for (unsigned int lane = 0; lane < warp.lanes; ++lane) {
    if (!Names(mask, lane)) continue;
    Thread& thread = warp.at(lane);
    const bool votes = thread.warp_call.function == WarpFunction::kBallot;
    thread.warp_result =
        votes ? ballot : warp.at(SourceLane(thread.warp_call, lane)).warp_call.value;
  }
}

// "calls __shfl_sync at a.cu:12 with mask 0x0000ffff, " and why that is wrong; empty if nothing is.
std::string WrongCall(const Thread& self, const std::string& why) {
  if (why.empty()) return "";
  return fmt::format("calls {} at {} with mask {:#010x}, {}", NameOf(self.warp_call.function),
                     PlaceOf(self.site), self.warp_call.mask, why);
}

}  // namespace

uint64_t WaitForWarp(const WarpCall& call, const Site& site) {
  Grid& grid = RunningGrid();
  Thread& self = grid.running();
  const Warp warp(self);
  self.warp_call = call;
  self.site = site;
  std::string wrong = WrongCall(self, WhyNotTogether(warp, self));
  grid.FailIf(std::move(wrong));
  self.waiting = Waiting::kWarp;
  ++self.block->in_warp_functions;
  if (AllAreThere(warp, call.mask)) {
    wrong = WrongCall(self, WhyNoSource(warp, call.mask));
    grid.FailIf(std::move(wrong));
    Exchange(warp, call.mask);
    const unsigned int whole = warp.lanes == kLanes ? 0xffffffffu : (1u << warp.lanes) - 1;
    if (call.function == WarpFunction::kSync && call.mask == whole) {
      ++self.block->warp_barriers[warp.index];
    }
    for (unsigned int lane = 0; lane < warp.lanes; ++lane) {
      if (!Names(call.mask, lane)) continue;
      --self.block->in_warp_functions;
      Wake(&warp.at(lane));
    }
  }
  grid.Pause();
  return self.warp_result;
}

}  // namespace drover::emulator
