#include "tests/support/cuda_emulator/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "common/base/check.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace drover::emulator {
namespace {

constexpr size_t kPageBytes = 4096;

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kStackBytes = 64 * kPageBytes;

void LeaveStack(void** fake_stack, const void* next, size_t next_bytes) {
  __sanitizer_start_switch_fiber(fake_stack, next, next_bytes);
}
void ArriveOnStack(void* fake_stack, const void** last, size_t* last_bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, last, last_bytes);
}
void ForgetFrames(char* stack) { __asan_unpoison_memory_region(stack, kStackBytes); }
#else
constexpr size_t kStackBytes = 16 * kPageBytes;

void LeaveStack(void**, const void*, size_t) {}
void ArriveOnStack(void*, const void**, size_t*) {}
void ForgetFrames(char*) {}
#endif

char* MakeStack() {
  void* memory = mmap(nullptr, kPageBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  DROVER_CHECK(memory != MAP_FAILED);
  DROVER_CHECK(mprotect(memory, kPageBytes, PROT_NONE) == 0);
  return static_cast<char*>(memory);
}

// Never deleted: a kernel may run while static variables are destroyed.
std::vector<std::unique_ptr<Fiber>>& Kept() {
  static auto* const kept = new std::vector<std::unique_ptr<Fiber>>;
  return *kept;
}

// makecontext passes no pointer to Fiber::Main.
thread_local Fiber* entering = nullptr;
thread_local ucontext_t entered;

}  // namespace

Fiber::Fiber() : memory_(MakeStack()) {}

Fiber::~Fiber() { munmap(memory_, kPageBytes + kStackBytes); }

std::unique_ptr<Fiber> Fiber::Take() {
  if (Kept().empty()) return std::make_unique<Fiber>();
  std::unique_ptr<Fiber> fiber = std::move(Kept().back());
  Kept().pop_back();
  return fiber;
}

void Fiber::Keep(std::unique_ptr<Fiber> fiber) { Kept().push_back(std::move(fiber)); }

void Fiber::Begin(void (*entry)(void*), void* argument) {
  entry_ = entry;
  argument_ = argument;
}

void Fiber::Resume() {
  void* fake_stack = nullptr;
  LeaveStack(&fake_stack, memory_ + kPageBytes, kStackBytes);
  if (_setjmp(outside_) == 0) {
    if (has_context_) _longjmp(inside_, 1);
    EnterNewStack();
  }
  ArriveOnStack(fake_stack, nullptr, nullptr);
}

// Without variables: nobody returns to this frame, so AddressSanitizer would keep what it marks
// around them for good.
void Fiber::EnterNewStack() {
  has_context_ = true;
  entering = this;
  DROVER_CHECK(getcontext(&entered) == 0);
  entered.uc_stack.ss_sp = memory_ + kPageBytes;
  entered.uc_stack.ss_size = kStackBytes;
  entered.uc_link = nullptr;
  makecontext(&entered, Main, 0);
  setcontext(&entered);
  std::abort();  // setcontext returns only when it fails.
}

// Never returns: when one function has ended, the next Begin() gives another.
void Fiber::Main() {
  Fiber* const self = entering;
  ArriveOnStack(nullptr, &self->outside_stack_, &self->outside_stack_bytes_);
  while (true) {
    self->entry_(self->argument_);
    self->Suspend();
  }
}

void Fiber::Suspend() {
  void* fake_stack = nullptr;
  LeaveStack(&fake_stack, outside_stack_, outside_stack_bytes_);
  if (_setjmp(inside_) == 0) _longjmp(outside_, 1);
  ArriveOnStack(fake_stack, &outside_stack_, &outside_stack_bytes_);
}

void Fiber::GiveUp() {
  ForgetFrames(memory_ + kPageBytes);
  has_context_ = false;
}

}  // namespace drover::emulator
