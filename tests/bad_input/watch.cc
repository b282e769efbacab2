#include "tests/bad_input/watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "common/base/clock.h"
#include "proto/drover/v1/job.pb.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/victim.h"
#include "tests/bad_input/world.h"

#ifdef __SANITIZE_ADDRESS__
// Of sanitizer/allocator_interface.h and common_interface_defs.h, which come with clang only.
extern "C" size_t __sanitizer_get_current_allocated_bytes();
extern "C" void __sanitizer_set_report_fd(void* fd);
// What is freed is kept to catch its use; kept for short, so that the process stays small.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }
#endif

namespace drover::bad_input {
namespace {

constexpr int64_t kGrowthMax = int64_t{32} << 20;
constexpr Duration kAskEvery = std::chrono::milliseconds(50);

// Bytes. Under the address sanitizer: what is allocated now, since what it keeps beside that is its
// own, and what connections held is freed by their threads a moment after a call has ended. Else
// the most that was resident since ForgetPeak, which no waiting makes less.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kMemoryIsNow = true;
void ForgetPeak() {}
int64_t Memory() { return static_cast<int64_t>(__sanitizer_get_current_allocated_bytes()); }
#else
constexpr bool kMemoryIsNow = false;
// https://www.kernel.org/doc/html/latest/filesystems/proc.html, clear_refs.
void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }
int64_t Memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    int64_t kilobytes = 0;
    status >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}
#endif

int64_t MemoryNow() {
  ForgetPeak();
  return Memory();
}

int64_t GrowthSince(int64_t before) {
  const Instant deadline = Clock::Real().Now() + kPatience;
  int64_t growth = Memory() - before;
  while (kMemoryIsNow && growth >= kGrowthMax && Clock::Real().Now() < deadline) {
    SleepFor(std::chrono::milliseconds(1));
    growth = Memory() - before;
  }
  return growth;
}

Counts Growth(const Counts& before, const Counts& after) {
  Counts growth;
  for (const auto& [name, value] : after) {
    const auto old = before.find(name);
    const double by = value - (old == before.end() ? 0 : old->second);
    if (by != 0) growth[name] = by;
  }
  return growth;
}

int CountOf(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

std::string RequestFor(const std::string& job) {
  v1::GetJobRequest request;
  request.set_job(job);
  return request.SerializeAsString();
}

}  // namespace

CapturedLog::CapturedLog(const std::string& path) : path_(path), stderr_(dup(STDERR_FILENO)) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<intptr_t>(stderr_)));
#endif
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  EXPECT_GE(file, 0);
  dup2(file, STDERR_FILENO);
  close(file);
}

CapturedLog::~CapturedLog() {
  dup2(stderr_, STDERR_FILENO);
  close(stderr_);
}

int64_t CapturedLog::size() const {
  struct stat facts = {};
  return stat(path_.c_str(), &facts) == 0 ? facts.st_size : 0;
}

std::string CapturedLog::From(int64_t offset) const {
  std::ifstream file(path_, std::ios::binary);
  file.seekg(offset);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

GoodUser::GoodUser(World* world, const std::string& name)
    : client_(world->coordinator().As(Role::kViewer, name)),
      request_(RequestFor(world->victim().id())),
      thread_("good-user", [this] { Ask(); }) {}

GoodUser::~GoodUser() {
  wake_.Close();
  thread_.Join();
}

void GoodUser::Ask() {
  while (!wake_.closed()) {
    ++begun_;
    const bool measured = measured_;
    const Instant begin = Clock::Real().Now();
    const Answer answer = client_.Call(kGetJob, request_, {}, std::chrono::seconds(10));
    if (!answer.status.ok()) ++failures_;
    const double seconds = Seconds(Clock::Real().Now() - begin);
    if (measured) {
      MutexLock lock(&mutex_);
      latencies_.seconds.push_back(seconds);
    }
    ++ended_;
    wake_.PopFor(kAskEvery);
  }
}

Latencies GoodUser::latencies() const {
  MutexLock lock(&mutex_);
  return latencies_;
}

double Latencies::Quantile(double share) const {
  if (seconds.empty()) return 0.0;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(share * static_cast<double>(sorted.size())) - 1.0;
  return sorted[static_cast<size_t>(std::max(rank, 0.0))];
}

std::string Latencies::Summary() const {
  return fmt::format("p50 {:.1f} ms, p99 {:.1f} ms of {} calls", 1e3 * Quantile(0.5),
                     1e3 * Quantile(0.99), seconds.size());
}

bool GoodUser::AwaitAnswer() {
  const int next = begun_ + 1;
  const Instant deadline = Clock::Real().Now() + kPatience;
  while (ended_ < next && Clock::Real().Now() < deadline) {
    wake_.TryPush(1);
    SleepFor(std::chrono::milliseconds(1));
  }
  return ended_ >= next;
}

Watch::Watch(World* world, const CapturedLog* log, GoodUser* user,
             const std::vector<uint32_t>* digests)
    : world_(world),
      log_(log),
      user_(user),
      digests_(digests),
      log_begin_(log->size()),
      counts_(world->Refusals()),
      failures_(user->failures()),
      memory_(MemoryNow()) {}

void Watch::ExpectHarmless(const Case& row) {
  const int64_t growth = GrowthSince(memory_);
  EXPECT_TRUE(user_->AwaitAnswer()) << "a good user is not answered any more";
  EXPECT_EQ(user_->failures(), failures_) << "calls of a good user failed meanwhile";
  // His answers come from the thread that counts: what was sent before them has been counted.
  EXPECT_EQ(Growth(counts_, world_->Refusals()), row.counts);
  EXPECT_LT(growth, kGrowthMax) << "bytes more than before";
  testing::Test::RecordProperty("kilobytes_more", static_cast<int>(growth / 1024));
  const std::string log = log_->From(log_begin_);
  EXPECT_EQ(CountOf(log, "audit: refused"), row.audit_lines);
  EXPECT_EQ(CountOf(log, kCanary), 0) << "secrets or payloads are in the log";
  EXPECT_EQ(CountOf(log, "PRIVATE KEY"), 0);
  const auto step = static_cast<size_t>(world_->victim().step());
  const uint32_t digest = world_->victim().Step();
  ASSERT_LT(step, digests_->size());
  EXPECT_EQ(digest, (*digests_)[step]) << "the victim has other weights after step " << step;
  if (testing::Test::HasFailure()) ADD_FAILURE() << "the log of this case:\n" << log;
}

}  // namespace drover::bad_input
