#include "tests/support/cuda_emulator/shared_storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/support/cuda_emulator/grid.h"

namespace drover::emulator {
namespace {

// Now, for the running thread.
Moment Now() {
  const Thread& self = RunningGrid().running();
  const auto warp = static_cast<int>(self.index / 32);
  return {static_cast<int>(self.index), warp, self.block->barriers,
          self.block->warp_barriers[static_cast<size_t>(warp)]};
}

// Whether a barrier, or being the same thread, puts `before` before `now`.
bool IsBefore(const Moment& before, const Moment& now) {
  if (before.thread == Moment::kNobody || before.thread == now.thread) return true;
  if (before.barriers < now.barriers) return true;
  return before.warp == now.warp && before.warp_barriers < now.warp_barriers;
}

// Both readings as one moment: before something only if both are.
Moment Joined(const Moment& reads, const Moment& now) {
  if (IsBefore(reads, now)) return now;
  Moment joined = now;
  joined.thread = Moment::kMany;
  if (reads.warp != now.warp) joined.warp = Moment::kMany;
  return joined;
}

std::string Who(const Moment& moment) {
  if (moment.thread == Moment::kMany) return "several threads";
  return NameOf(RunningGrid().running().block->threads[static_cast<size_t>(moment.thread)]);
}

// "reads shared array sums[3], " and why that is wrong; empty if nothing is.
std::string WrongAccess(const char* access, const std::string& array, int64_t index,
                        const std::string& why) {
  return why.empty() ? "" : fmt::format("{} shared array {}[{}], {}", access, array, index, why);
}

void MaybeInterrupt() {
  Grid& grid = RunningGrid();
  if (!grid.schedule().InterruptsShared()) return;
  Wake(&grid.running());
  grid.Pause();
}

}  // namespace

SharedStorage::SharedStorage(std::string name, const Site& site, size_t element_bytes, size_t count)
    : name_(std::move(name)),
      site_(site),
      element_bytes_(element_bytes),
      count_(count),
      bytes_(new char[element_bytes * count]),
      histories_(count) {
  std::memset(bytes_.get(), 0xff, element_bytes * count);
}

bool SharedStorage::Is(const char* name, const Site& site, size_t element_bytes) const {
  return site == site_ && element_bytes == element_bytes_ && name == name_;
}

std::string SharedStorage::WhyNoElement(int64_t index) const {
  if (index >= 0 && static_cast<size_t>(index) < count_) return "";
  return fmt::format("but the array declared at {} has {} elements", PlaceOf(site_), count_);
}

std::string SharedStorage::WhyNoRead(int64_t index, const Moment& now) const {
  std::string why = WhyNoElement(index);
  if (!why.empty()) return why;
  const Moment& write = histories_[static_cast<size_t>(index)].write;
  if (write.thread == Moment::kNobody) return "which nobody has written";
  if (IsBefore(write, now)) return "";
  return fmt::format("which {} wrote without a barrier between: a race", Who(write));
}

std::string SharedStorage::WhyNoWrite(int64_t index, const Moment& now) const {
  std::string why = WhyNoElement(index);
  if (!why.empty()) return why;
  const History& history = histories_[static_cast<size_t>(index)];
  if (!IsBefore(history.write, now)) {
    return fmt::format("which {} wrote without a barrier between: a race", Who(history.write));
  }
  if (IsBefore(history.reads, now)) return "";
  return fmt::format("which {} read without a barrier between: a race", Who(history.reads));
}

void SharedStorage::Read(int64_t index, void* value) {
  MaybeInterrupt();
  const Moment now = Now();
  std::string wrong = WrongAccess("reads", name_, index, WhyNoRead(index, now));
  RunningGrid().FailIf(std::move(wrong));
  Moment& reads = histories_[static_cast<size_t>(index)].reads;
  reads = Joined(reads, now);
  std::memcpy(value, &bytes_[static_cast<size_t>(index) * element_bytes_], element_bytes_);
}

void SharedStorage::Write(int64_t index, const void* value) {
  MaybeInterrupt();
  const Moment now = Now();
  std::string wrong = WrongAccess("writes", name_, index, WhyNoWrite(index, now));
  RunningGrid().FailIf(std::move(wrong));
  histories_[static_cast<size_t>(index)].write = now;
  std::memcpy(&bytes_[static_cast<size_t>(index) * element_bytes_], value, element_bytes_);
}

SharedStorage* DeclareShared(const char* name, const Site& site, size_t element_bytes,
                             size_t count) {
  std::vector<std::unique_ptr<SharedStorage>>& shared = RunningGrid().running().block->shared;
  const auto found = std::find_if(shared.begin(), shared.end(), [&](const auto& storage) {
    return storage->Is(name, site, element_bytes);
  });
  if (found != shared.end()) return found->get();
  shared.push_back(std::make_unique<SharedStorage>(name, site, element_bytes, count));
  return shared.back().get();
}

}  // namespace drover::emulator
