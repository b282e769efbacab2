#include "common/base/thread.h"

#include <pthread.h>
#include <sched.h>

#include <utility>

namespace drover {

Thread::Thread(const std::string& name, std::function<void()> body)
    : thread_([short_name = name.substr(0, 15), run = std::move(body)] {
        pthread_setname_np(pthread_self(), short_name.c_str());
        run();
      }) {}

int CoreCount() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  const int count = CPU_COUNT(&cores);
  return count > 0 ? count : 1;
}

}  // namespace drover
