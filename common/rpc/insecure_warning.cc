#include "common/rpc/insecure_warning.h"

#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "common/rpc/channel.h"

namespace drover {

bool Periodic::Due(Instant now) {
  if (begun_ && now - last_ < every_) return false;
  begun_ = true;
  last_ = now;
  return true;
}

InsecureWarning::InsecureWarning(const Clock& clock, std::function<void()> warn, Duration poll)
    : clock_(clock), warn_(std::move(warn)), poll_(poll) {
  thread_ = Thread("insecure", [this] { Run(); });
}

InsecureWarning::~InsecureWarning() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
}

void InsecureWarning::Run() {
  Periodic periodic(kInsecureWarningEvery);
  while (true) {
    if (periodic.Due(clock_.Now())) warn_();
    MutexLock lock(&mutex_);
    if (!stopped_) changed_.WaitFor(&mutex_, poll_);
    if (stopped_) return;
  }
}

std::unique_ptr<InsecureWarning> WarnIfInsecure(bool insecure,
                                                const std::vector<std::string>& addresses) {
  const bool outside = std::any_of(addresses.begin(), addresses.end(),
                                   [](const std::string& one) { return !IsLoopback(one); });
  if (!insecure || !outside) return nullptr;
  return std::make_unique<InsecureWarning>(Clock::Real(), [] {
    LogWarning(
        "--insecure: plain text, and nobody is asked who he is: everybody who reaches this network "
        "can submit jobs, read weights and pose as a worker");
  });
}

}  // namespace drover
