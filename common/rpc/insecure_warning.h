// Says every minute that a process speaks plain text with other machines, for as long as it lives.
// Thread-safe.

#ifndef DROVER_COMMON_RPC_INSECURE_WARNING_H_
#define DROVER_COMMON_RPC_INSECURE_WARNING_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/thread.h"

namespace drover {

inline constexpr Duration kInsecureWarningEvery = std::chrono::minutes(1);

// When something is due that happens at once and then every `every`.
class Periodic {
 public:
  explicit Periodic(Duration every) : every_(every) {}
  bool Due(Instant now);

 private:
  const Duration every_;
  bool begun_ = false;
  Instant last_;
};

class InsecureWarning {
 public:
  // `warn` is called on a thread of its own. The clock is looked at every `poll`.
  InsecureWarning(const Clock& clock, std::function<void()> warn,
                  Duration poll = std::chrono::seconds(1));
  ~InsecureWarning();
  InsecureWarning(const InsecureWarning&) = delete;
  InsecureWarning& operator=(const InsecureWarning&) = delete;

 private:
  void Run();

  const Clock& clock_;
  const std::function<void()> warn_;
  const Duration poll_;
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ DROVER_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

// The usual warning, when it is due: `insecure` and one of the addresses is beyond this machine.
// Null otherwise.
std::unique_ptr<InsecureWarning> WarnIfInsecure(bool insecure,
                                                const std::vector<std::string>& addresses);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_INSECURE_WARNING_H_
