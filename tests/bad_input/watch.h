// What must hold after every bad input: the counters, the log, the memory, a good user's calls, the
// victim. Made before the input is sent, asked after it. One thread.

#ifndef DROVER_TESTS_BAD_INPUT_WATCH_H_
#define DROVER_TESTS_BAD_INPUT_WATCH_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/mutex.h"
#include "common/base/thread.h"
#include "tests/bad_input/case.h"
#include "tests/bad_input/client.h"

namespace drover::bad_input {

// Whatever goes to stderr goes to a file from now on, until the end.
class CapturedLog {
 public:
  explicit CapturedLog(const std::string& path);
  ~CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  int64_t size() const;
  std::string From(int64_t offset) const;

 private:
  const std::string path_;
  int stderr_;  // The one before.
};

// How long calls took.
struct Latencies {
  std::vector<double> seconds;  // In any order.
  // "p50 1.2 ms, p99 3.4 ms of 200 calls"; p99: one in a hundred took longer.
  std::string Summary() const;
  double Quantile(double share) const;
};

// A user who asks for the victim's job again and again on a connection of his own.
class GoodUser {
 public:
  // `name`: as callers are counted, so that one does not use up what another may call.
  GoodUser(World* world, const std::string& name);
  ~GoodUser();
  // Whether a call that begins now is answered.
  bool AwaitAnswer();
  int failures() const { return failures_; }
  // Whether calls that begin from now on are measured.
  void SetMeasured(bool measured) { measured_ = measured; }
  Latencies latencies() const DROVER_EXCLUDES(mutex_);

 private:
  void Ask();
  const Client client_;
  const std::string request_;
  std::atomic<int> begun_ = 0;
  std::atomic<int> ended_ = 0;
  std::atomic<int> failures_ = 0;
  std::atomic<bool> measured_ = false;
  mutable Mutex mutex_;
  Latencies latencies_ DROVER_GUARDED_BY(mutex_);
  BoundedQueue<int> wake_{1};  // Closed at the end.
  Thread thread_;
};

class Watch {
 public:
  // All outlive it. `digests`: of the victim after each step when nobody disturbs it.
  Watch(World* world, const CapturedLog* log, GoodUser* user, const std::vector<uint32_t>* digests);
  // Fails the test for everything that does not hold.
  void ExpectHarmless(const Case& row);

 private:
  World* const world_;
  const CapturedLog* const log_;
  GoodUser* const user_;
  const std::vector<uint32_t>* const digests_;
  const int64_t log_begin_;
  const Counts counts_;
  const int failures_;
  const int64_t memory_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_WATCH_H_
