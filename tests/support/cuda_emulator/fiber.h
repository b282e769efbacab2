// A function with a stack of its own that can stop in the middle and go on later: one thread of a
// kernel. ucontext makes the stack, setjmp changes between stacks (no system call), and
// the sanitizers are told of every change. Not thread-safe.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_FIBER_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_FIBER_H_

#include <csetjmp>
#include <cstddef>
#include <memory>

namespace drover::emulator {

// What the sanitizers are told of a stack.
struct StackInfo {
  const void* begin = nullptr;
  size_t bytes = 0;
  void* fake_stack = nullptr;  // Of AddressSanitizer, while nothing runs on this stack.
  void* tsan_fiber = nullptr;
};

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // A new one, or one that was kept: making one costs system calls.
  static std::unique_ptr<Fiber> Take();
  // Its function has ended or was given up.
  static void Keep(std::unique_ptr<Fiber> fiber);

  // The next Resume() calls entry(argument). The one before has ended or was given up.
  void Begin(void (*entry)(void*), void* argument);

  // Runs until Suspend() or until the function ends.
  void Resume();

  // From inside only: back to Resume().
  void Suspend();

  // The function that stopped in the middle will never go on; destructors on its stack do not run.
  void GiveUp();

 private:
  static void Main();
  void EnterNewStack();

  char* const memory_;  // A page that nobody may touch, then the stack.
  bool has_context_ = false;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  jmp_buf inside_;
  jmp_buf outside_;
  StackInfo inside_stack_;
  StackInfo outside_stack_;
};

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_FIBER_H_
