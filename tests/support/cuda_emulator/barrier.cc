// Barriers of a block, and the function that counts votes on the way.

#include <fmt/format.h>

#include <algorithm>

#include "tests/support/cuda_emulator/device_functions.h"
#include "tests/support/cuda_emulator/grid.h"

namespace drover::emulator {
namespace {

// Why a thread of `block` may not come to this barrier now; empty when it may.
std::string WhyNotHere(const Block& block, BarrierKind kind, const Site& site) {
  if (block.ended > 0) {
    const auto ended =
        std::find_if(block.threads.begin(), block.threads.end(),
                     [](const Thread& thread) { return thread.waiting == Waiting::kEnded; });
    return fmt::format("calls {} at {} for all of its block, but {}", NameOf(kind), PlaceOf(site),
                       Describe(*ended));
  }
  if (block.at_barrier == 0) return "";
  const Thread& first = *block.first_at_barrier;
  if (block.barrier_kind == kind && first.site == site) return "";
  return fmt::format("calls {} at {}, but {}: a barrier is for all of a block", NameOf(kind),
                     PlaceOf(site), Describe(first));
}

}  // namespace

int WaitForBlock(BarrierKind kind, int predicate, const Site& site) {
  Grid& grid = RunningGrid();
  Thread& self = grid.running();
  Block& block = *self.block;
  grid.FailIf(WhyNotHere(block, kind, site));
  if (block.at_barrier == 0) {
    block.votes = 0;
    block.first_at_barrier = &self;
  }
  block.barrier_kind = kind;
  block.votes += predicate != 0 ? 1 : 0;
  ++block.at_barrier;
  self.waiting = Waiting::kBarrier;
  self.site = site;
  if (block.at_barrier == block.threads.size()) {
    block.at_barrier = 0;
    block.last_votes = block.votes;
    ++block.barriers;
    for (Thread& thread : block.threads) Wake(&thread);
  }
  grid.Pause();
  return block.last_votes;
}

}  // namespace drover::emulator

int __syncthreads_and(int predicate, const drover::emulator::Site& site) {
  using namespace drover::emulator;
  const int votes = WaitForBlock(BarrierKind::kAnd, predicate, site);
  return votes == static_cast<int>(RunningGrid().running().block->threads.size());
}
