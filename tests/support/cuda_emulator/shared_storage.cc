#include "tests/support/cuda_emulator/shared_storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
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

void MaybeInterrupt() {
  Grid& grid = RunningGrid();
  if (!grid.schedule().InterruptsShared()) return;
  Wake(&grid.running());
  grid.Pause();
}

}  // namespace

SharedStorage::SharedStorage(std::string name, const std::source_location& site,
                             size_t element_bytes, size_t count)
    : name_(std::move(name)),
      site_(site),
      element_bytes_(element_bytes),
      count_(count),
      bytes_(new char[element_bytes * count]),
      histories_(count) {
  std::memset(bytes_.get(), 0xff, element_bytes * count);
}

bool SharedStorage::Is(const char* name, const std::source_location& site,
                       size_t element_bytes) const {
  return site.line() == site_.line() && element_bytes == element_bytes_ && name == name_ &&
         std::string_view(site.file_name()) == site_.file_name();
}

std::string SharedStorage::NameOf(int64_t index) const {
  return fmt::format("shared array {}[{}]", name_, index);
}

void SharedStorage::CheckIndex(int64_t index, const char* access) const {
  if (index >= 0 && static_cast<size_t>(index) < count_) return;
  RunningGrid().Fail(fmt::format("{} {}, but the array declared at {} has {} elements", access,
                                 NameOf(index), PlaceOf(site_), count_));
}

void SharedStorage::Read(int64_t index, void* value) {
  MaybeInterrupt();
  CheckIndex(index, "reads");
  History& history = histories_[static_cast<size_t>(index)];
  if (history.write.thread == Moment::kNobody) {
    RunningGrid().Fail(fmt::format("reads {}, which nobody has written", NameOf(index)));
  }
  const Moment now = Now();
  if (!IsBefore(history.write, now)) {
    RunningGrid().Fail(fmt::format("race: reads {}, which {} wrote without a barrier between",
                                   NameOf(index), Who(history.write)));
  }
  history.reads = Joined(history.reads, now);
  std::memcpy(value, &bytes_[static_cast<size_t>(index) * element_bytes_], element_bytes_);
}

void SharedStorage::Write(int64_t index, const void* value) {
  MaybeInterrupt();
  CheckIndex(index, "writes");
  History& history = histories_[static_cast<size_t>(index)];
  const Moment now = Now();
  if (!IsBefore(history.write, now)) {
    RunningGrid().Fail(fmt::format("race: writes {}, which {} wrote without a barrier between",
                                   NameOf(index), Who(history.write)));
  }
  if (!IsBefore(history.reads, now)) {
    RunningGrid().Fail(fmt::format("race: writes {}, which {} read without a barrier between",
                                   NameOf(index), Who(history.reads)));
  }
  history.write = now;
  std::memcpy(&bytes_[static_cast<size_t>(index) * element_bytes_], value, element_bytes_);
}

SharedStorage* DeclareShared(const char* name, const std::source_location& site,
                             size_t element_bytes, size_t count) {
  std::vector<std::unique_ptr<SharedStorage>>& shared = RunningGrid().running().block->shared;
  const auto found = std::find_if(shared.begin(), shared.end(), [&](const auto& storage) {
    return storage->Is(name, site, element_bytes);
  });
  if (found != shared.end()) return found->get();
  shared.push_back(std::make_unique<SharedStorage>(name, site, element_bytes, count));
  return shared.back().get();
}

}  // namespace drover::emulator
