#include "tests/support/cuda_emulator/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/check.h"
#include "tests/support/cuda_emulator/cuda_runtime.h"
#include "tests/support/cuda_emulator/state.h"

uint3 threadIdx = {0, 0, 0};
uint3 blockIdx = {0, 0, 0};
dim3 blockDim;
dim3 gridDim;

namespace drover::emulator {
namespace {

// Kernels of tests end long before; one that waits in a way we do not see through does not.
constexpr uint64_t kResumesMax = uint64_t{1} << 28;

Grid* running_grid = nullptr;

uint3 PositionOf(unsigned int index, const dim3& extent) {
  return {index % extent.x, index / extent.x % extent.y, index / extent.x / extent.y};
}

void RunThread(void* argument) {
  auto* const thread = static_cast<Thread*>(argument);
  thread->block->grid->call().thread();
  thread->waiting = Waiting::kEnded;
}

}  // namespace

Grid& RunningGrid() {
  DROVER_CHECK(running_grid != nullptr);  // Only kernels may call device functions.
  return *running_grid;
}

void Wake(Thread* thread) {
  thread->waiting = Waiting::kNo;
  thread->block->runnable.push_back(thread);
}

Grid::Grid(const KernelCall& call, Schedule* schedule)
    : call_(call),
      schedule_(schedule),
      blocks_alive_max_(schedule->BlocksAlive(kMultiprocessors * kBlocksPerMultiprocessor)) {
  const unsigned int blocks = call.grid.x * call.grid.y * call.grid.z;
  for (unsigned int index = 0; index < blocks; ++index) not_started_.push_back(index);
  if (schedule->order() == Schedule::Order::kForward) {
    std::reverse(not_started_.begin(), not_started_.end());
  }
}

Grid::~Grid() {
  for (const std::unique_ptr<Block>& block : blocks_) {
    for (Thread& thread : block->threads) thread.fiber->GiveUp();
    Retire(block.get());
  }
}

bool Grid::Run() {
  running_grid = this;
  blockDim = call_.block;
  gridDim = call_.grid;
  StartBlocks();
  while (!blocks_.empty() && !failed_) {
    Thread* const thread = ChooseThread();
    if (thread == nullptr || ++resumes_ > kResumesMax) {
      ReportNobodyRuns();
      break;
    }
    if (!Resume(thread)) break;
  }
  running_grid = nullptr;
  return !failed_;
}

void Grid::StartBlocks() {
  while (!not_started_.empty() && blocks_.size() < blocks_alive_max_) {
    if (schedule_->order() == Schedule::Order::kShuffled) {
      std::swap(not_started_[schedule_->Choose(not_started_.size())], not_started_.back());
    }
    StartBlock(not_started_.back());
    not_started_.pop_back();
  }
}

void Grid::StartBlock(unsigned int index) {
  blocks_.push_back(std::make_unique<Block>());
  Block& block = *blocks_.back();
  block.grid = this;
  block.position = PositionOf(index, call_.grid);
  const unsigned int threads = call_.block.x * call_.block.y * call_.block.z;
  block.threads.resize(threads);
  block.warp_barriers.resize((threads + 31) / 32);
  for (unsigned int t = 0; t < threads; ++t) {
    Thread& thread = block.threads[t];
    thread.block = &block;
    thread.index = t;
    thread.position = PositionOf(t, call_.block);
    thread.fiber = Fiber::Take();
    thread.fiber->Begin(RunThread, &thread);
    Wake(&thread);
  }
}

Thread* Grid::ChooseThread() {
  std::vector<Block*> ready;
  for (const std::unique_ptr<Block>& block : blocks_) {
    if (!block->runnable.empty()) ready.push_back(block.get());
  }
  if (ready.empty()) return nullptr;
  const bool last_is_ready = std::find(ready.begin(), ready.end(), last_block_) != ready.end();
  if (!last_is_ready || !schedule_->StaysInBlock()) {
    last_block_ = ready[schedule_->Choose(ready.size())];
  }
  std::vector<Thread*>& runnable = last_block_->runnable;
  const auto chosen =
      runnable.begin() + static_cast<std::ptrdiff_t>(schedule_->Choose(runnable.size()));
  Thread* const thread = *chosen;
  runnable.erase(chosen);
  return thread;
}

bool Grid::Resume(Thread* thread) {
  running_ = thread;
  threadIdx = thread->position;
  blockIdx = thread->block->position;
  thread->fiber->Resume();
  if (failed_) return false;
  return thread->waiting != Waiting::kEnded || AfterEnd(thread);
}

bool Grid::AfterEnd(Thread* thread) {
  Block* const block = thread->block;
  ++block->ended;
  const std::string who_waits = WaitsForEnded(*thread);
  if (!who_waits.empty()) {
    ReportFailure(*thread, who_waits);
    return false;
  }
  if (block->ended == block->threads.size()) {
    Retire(block);
    if (last_block_ == block) last_block_ = nullptr;
    std::erase_if(blocks_, [block](const auto& other) { return other.get() == block; });
    StartBlocks();
  }
  return true;
}

void Grid::Retire(Block* block) {
  for (Thread& thread : block->threads) Fiber::Keep(std::move(thread.fiber));
}

void Grid::NoteChange() {
  ++changes_;
  for (Thread* thread : spinning_) Wake(thread);
  spinning_.clear();
}

void Grid::Pause() {
  Thread* const self = running_;
  if (self->waiting == Waiting::kSpin) spinning_.push_back(self);
  self->fiber->Suspend();
}

void Grid::FailIf(std::string&& what) {
  if (what.empty()) return;
  ReportFailure(*running_, what);
  std::string().swap(what);
  running_->fiber->Suspend();
  std::abort();  // A thread that failed never goes on.
}

void Grid::ReportFailure(const Thread& thread, const std::string& what) {
  const uint3& block = thread.block->position;
  ReportError(fmt::format("kernel {}, block ({},{},{}), {} {}", call_.name, block.x, block.y,
                          block.z, NameOf(thread), what));
  failed_ = true;
}

void Grid::ReportNobodyRuns() {
  failed_ = true;
  std::string what = fmt::format("kernel {}: no thread can go on", call_.name);
  if (resumes_ > kResumesMax) what = fmt::format("kernel {}: does not end", call_.name);
  for (const std::unique_ptr<Block>& block : blocks_) {
    const auto waits =
        std::find_if(block->threads.begin(), block->threads.end(), [](const Thread& thread) {
          return thread.waiting != Waiting::kEnded && thread.waiting != Waiting::kNo;
        });
    if (waits == block->threads.end()) continue;
    what += fmt::format("; block ({},{},{}), {}", block->position.x, block->position.y,
                        block->position.z, Describe(*waits));
  }
  if (!not_started_.empty()) {
    what += fmt::format("; {} blocks have not begun, as no other has ended", not_started_.size());
  }
  ReportError(what);
}

}  // namespace drover::emulator
