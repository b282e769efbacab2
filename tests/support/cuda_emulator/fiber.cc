#include "tests/support/cuda_emulator/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "common/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace drover::emulator {
namespace {

constexpr size_t kPageBytes = 4096;

// LeaveStack comes before each change from one stack to the next, ArriveOnStack after it.
// ForgetFrames: the stack begins again, whatever was on it.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 64 * kPageBytes;

void LeaveStack(StackInfo* left, const StackInfo& next) {
  __sanitizer_start_switch_fiber(&left->fake_stack, next.begin, next.bytes);
}
void ArriveOnStack(const StackInfo& reached, StackInfo* left) {
  __sanitizer_finish_switch_fiber(reached.fake_stack, &left->begin, &left->bytes);
}
void DescribeThisStack(StackInfo*) {}
void ForgetFrames(StackInfo* stack) {
  stack->fake_stack = nullptr;
  __asan_unpoison_memory_region(stack->begin, stack->bytes);
}
void ForgetStack(StackInfo*) {}
#elif defined(__SANITIZE_THREAD__)
constexpr size_t kStackBytes = 64 * kPageBytes;

void LeaveStack(StackInfo*, const StackInfo& next) { __tsan_switch_to_fiber(next.tsan_fiber, 0); }
void ArriveOnStack(const StackInfo&, StackInfo*) {}
void DescribeThisStack(StackInfo* stack) { stack->tsan_fiber = __tsan_get_current_fiber(); }
void ForgetStack(StackInfo* stack) {
  if (stack->tsan_fiber != nullptr) __tsan_destroy_fiber(stack->tsan_fiber);
}
void ForgetFrames(StackInfo* stack) {
  ForgetStack(stack);
  stack->tsan_fiber = __tsan_create_fiber(0);
}
#else
constexpr size_t kStackBytes = 16 * kPageBytes;

void LeaveStack(StackInfo*, const StackInfo&) {}
void ArriveOnStack(const StackInfo&, StackInfo*) {}
void DescribeThisStack(StackInfo*) {}
void ForgetFrames(StackInfo*) {}
void ForgetStack(StackInfo*) {}
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

Fiber::Fiber() : memory_(MakeStack()) {
  inside_stack_.begin = memory_ + kPageBytes;
  inside_stack_.bytes = kStackBytes;
  ForgetFrames(&inside_stack_);
}

Fiber::~Fiber() {
  ForgetStack(&inside_stack_);
  munmap(memory_, kPageBytes + kStackBytes);
}

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
  DescribeThisStack(&outside_stack_);
  if (_setjmp(outside_) == 0) {
    LeaveStack(&outside_stack_, inside_stack_);
    if (has_context_) _longjmp(inside_, 1);
    EnterNewStack();
  }
  ArriveOnStack(outside_stack_, &inside_stack_);
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
  ArriveOnStack(self->inside_stack_, &self->outside_stack_);
  while (true) {
    self->entry_(self->argument_);
    self->Suspend();
  }
}

void Fiber::Suspend() {
  if (_setjmp(inside_) == 0) {
    LeaveStack(&inside_stack_, outside_stack_);
    _longjmp(outside_, 1);
  }
  ArriveOnStack(inside_stack_, &outside_stack_);
}

void Fiber::GiveUp() {
  ForgetFrames(&inside_stack_);
  has_context_ = false;
}

}  // namespace drover::emulator
