// One block of a running kernel: its threads, what each waits for, and its shared memory. Barriers
// are in barrier.cc, warps in warp.cc. Not thread-safe: a Grid owns it.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_BLOCK_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_BLOCK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/cooperation.h"
#include "tests/support/cuda_emulator/fiber.h"
#include "tests/support/cuda_emulator/shared_storage.h"
#include "tests/support/cuda_emulator/site.h"
#include "tests/support/cuda_emulator/vector_types.h"

namespace drover::emulator {

class Grid;
struct Block;

enum class Waiting { kNo, kBarrier, kWarp, kSpin, kEnded };

struct Thread {
  Block* block = nullptr;
  unsigned int index = 0;  // In the block, x fastest.
  uint3 position = {0, 0, 0};
  std::unique_ptr<Fiber> fiber;
  Waiting waiting = Waiting::kNo;
  Site site;  // Of the barrier or the warp function it waits in.
  WarpCall warp_call = {};
  uint64_t warp_result = 0;
  uint64_t changes_seen = 0;  // Of Grid::changes(), before its loop that waits looked last.
  int acquires_in_a_row = 0;
};

struct Block {
  Grid* grid = nullptr;
  uint3 position = {0, 0, 0};
  std::vector<Thread> threads;
  std::vector<Thread*> runnable;
  size_t ended = 0;

  // The barrier that some threads wait at, and the votes so far.
  size_t at_barrier = 0;
  const Thread* first_at_barrier = nullptr;
  BarrierKind barrier_kind = BarrierKind::kPlain;
  int votes = 0;         // Threads whose predicate was not 0.
  int last_votes = 0;    // The same, of the barrier before.
  int64_t barriers = 0;  // Complete ones.

  size_t in_warp_functions = 0;        // Threads that wait there.
  std::vector<int64_t> warp_barriers;  // Complete ones of the whole warp, per warp.
  std::vector<std::unique_ptr<SharedStorage>> shared;
};

// "thread (3,0,0)", and what it waits for: "thread (3,0,0) waits in __syncthreads at a.cu:12".
std::string NameOf(const Thread& thread);
std::string Describe(const Thread& thread);

// "a.cu:12", without folders.
std::string PlaceOf(const Site& site);

const char* NameOf(BarrierKind kind);
const char* NameOf(WarpFunction function);

// What waits for `thread`, which has just ended, and so waits for ever; empty when nothing does.
std::string WaitsForEnded(const Thread& thread);

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_BLOCK_H_
