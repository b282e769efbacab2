// One running kernel: starts blocks, chooses which thread goes on, and stops at the first error.
// The functions below it are for code that runs inside a kernel. Not thread-safe: one kernel runs
// at a time, under the emulator's lock.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_GRID_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_GRID_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/block.h"
#include "tests/support/cuda_emulator/launch.h"
#include "tests/support/cuda_emulator/schedule.h"

namespace drover::emulator {

// Blocks of a kernel that are on the device at once, at most. A kernel may not count on so many.
inline constexpr unsigned int kMultiprocessors = 2;
inline constexpr unsigned int kBlocksPerMultiprocessor = 2;

class Grid {
 public:
  Grid(const KernelCall& call, Schedule* schedule);
  ~Grid();

  // Runs all blocks to their end. False after an error, which is reported.
  bool Run();

  const KernelCall& call() const { return call_; }
  Schedule& schedule() { return *schedule_; }
  Thread& running() { return *running_; }

  // Counts the times that memory changed by an atomic operation, a release or a fence.
  uint64_t changes() const { return changes_; }
  void NoteChange();

  // From the running thread: lets others go on. It goes on itself when it is runnable.
  void Pause();

  // From the running thread: if `what` is not empty, reports that it did so, and ends the kernel.
  // Nothing on the thread's stack is destroyed then but `what`, which must own all its memory: give
  // a variable, not an expression with temporaries of its own.
  void FailIf(std::string&& what);

 private:
  void StartBlocks();
  void StartBlock(unsigned int index);
  Thread* ChooseThread();
  bool Resume(Thread* thread);
  bool AfterEnd(Thread* thread);
  void Retire(Block* block);
  void ReportFailure(const Thread& thread, const std::string& what);
  void ReportNobodyRuns();

  const KernelCall call_;
  Schedule* const schedule_;
  const size_t blocks_alive_max_;
  std::vector<unsigned int> not_started_;  // The next one last.
  std::vector<std::unique_ptr<Block>> blocks_;
  Block* last_block_ = nullptr;
  std::vector<Thread*> spinning_;
  Thread* running_ = nullptr;
  uint64_t changes_ = 0;
  uint64_t resumes_ = 0;
  bool failed_ = false;
};

// The kernel that runs. Only inside one.
Grid& RunningGrid();

// Makes `thread` runnable again.
void Wake(Thread* thread);

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_GRID_H_
