// A named thread that is joined by its destructor. Not copyable; owned by one object.

#ifndef DROVER_COMMON_BASE_THREAD_H_
#define DROVER_COMMON_BASE_THREAD_H_

#include <functional>
#include <string>
#include <thread>

namespace drover {

class Thread {
 public:
  Thread() = default;
  // `name` shows in ps and gdb; the kernel keeps its first 15 characters.
  Thread(const std::string& name, std::function<void()> body);
  ~Thread() { Join(); }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&& other) {
    Join();
    thread_ = std::move(other.thread_);
    return *this;
  }

  // Waits for the body to return. Repeatable; must not be called from the thread itself.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

// Threads that this process may use at once, at least 1. Respects CPU affinity (containers).
int CoreCount();

}  // namespace drover

#endif  // DROVER_COMMON_BASE_THREAD_H_
