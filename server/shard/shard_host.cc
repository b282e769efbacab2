#include "server/shard/shard_host.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "common/base/logging.h"
#include "server/shard/range_memory.h"

namespace drover {
struct ShardHost::OwnedJob {
  OwnedJob(MetricRegistry* registry, const std::string& device) : metrics(registry, device) {}

  ShardMetrics metrics;
  std::unique_ptr<ShardRuntime> runtime;
  HostedJob hosted;  // Of the two above.
};

Result<std::unique_ptr<ShardHost>> ShardHost::Start(FileSystem& fs, const Clock& clock,
                                                    const ShardRuntimeOptions& options,
                                                    MetricRegistry* registry,
                                                    std::function<void(ShardReply)> send) {
  Result<std::unique_ptr<ShardStore>> store =
      ShardStore::Open(fs, options.state_dir, options.snapshots, *options.device, options.threads);
  if (!store.ok()) return store.status();
  return std::unique_ptr<ShardHost>(
      new ShardHost(fs, clock, options, registry, std::move(send), std::move(store).value()));
}

ShardHost::ShardHost(FileSystem& fs, const Clock& clock, const ShardRuntimeOptions& options,
                     MetricRegistry* registry, std::function<void(ShardReply)> send,
                     std::unique_ptr<ShardStore> store)
    : fs_(fs),
      clock_(clock),
      options_(options),
      registry_(registry),
      send_(std::move(send)),
      store_(std::move(store)) {}

// Before the runtimes go, since their threads call OnForgotten.
ShardHost::~ShardHost() { Stop(); }

std::shared_ptr<HostedJob> ShardHost::MakeJob(uint64_t job) {
  const auto owned = std::make_shared<OwnedJob>(registry_, options_.device->name());
  ShardRuntimeOptions options = options_;
  options.on_forgotten = [this, job] { OnForgotten(job); };
  owned->runtime =
      ShardRuntime::Start(fs_, clock_, options, &owned->metrics, send_, store_->ShareDirectory());
  owned->hosted = {&owned->metrics, owned->runtime.get()};
  return std::shared_ptr<HostedJob>(owned, &owned->hosted);
}

void ShardHost::Post(ShardOrder order) {
  const uint64_t job = JobOfOrder(order);
  const auto* place = std::get_if<PlaceOrder>(&order);
  const bool release = std::holds_alternative<ReleaseOrder>(order);
  RemoveReleased();
  std::shared_ptr<HostedJob> hosted = Find(job);
  if (hosted == nullptr && place == nullptr && !release) {
    LogWarning({.job = job}, "order refused: reason=\"no such job is placed here\"");
    return;
  }
  // Without the lock, which streams of other jobs want. Nobody else adds jobs meanwhile.
  if (hosted == nullptr && place != nullptr) {
    PlacedReply refused;
    refused.fence = {job, place->epoch, 0};
    refused.error = RefusalOf(*place, JobCount());
    if (!refused.error.empty()) return send_(std::move(refused));
  }
  if (hosted == nullptr) hosted = MakeJob(job);
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
    Slot& slot = slots_[job];
    slot.hosted = hosted;
    slot.released = release;
    slot.releases += release ? 1 : 0;
  }
  std::visit([&](auto& what) { hosted->runtime->Post(std::move(what)); }, order);
}

// A job that began elsewhere or before is never refused for its size: it fitted then, and an
// estimate must not end it.
std::string ShardHost::RefusalOf(const PlaceOrder& place, size_t others) const {
  if (others >= kJobsMax) return fmt::format("{} jobs are placed here already", others);
  const bool begins = place.discard && place.origin.checkpoint.empty();
  if (!begins || others == 0 || options_.available_memory == nullptr) return "";
  const int64_t needed = static_cast<int64_t>(RangeBytes(place));
  const std::optional<int64_t> available = options_.available_memory();
  if (!available || needed <= *available) return "";
  return fmt::format("the job needs {} MB of memory here, {} MB are left beside {} other job{}",
                     needed / 1'000'000, *available / 1'000'000, others, others == 1 ? "" : "s");
}

void ShardHost::OnForgotten(uint64_t job) {
  MutexLock lock(&mutex_);
  const auto slot = slots_.find(job);
  if (slot != slots_.end()) --slot->second.releases;
}

// Of those that hold nothing any more; their threads are idle, so they end at once.
void ShardHost::RemoveReleased() {
  std::vector<std::shared_ptr<HostedJob>> gone;  // Let go of outside the lock.
  MutexLock lock(&mutex_);
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    if (slot->second.released && slot->second.releases == 0) {
      gone.push_back(std::move(slot->second.hosted));
      slot = slots_.erase(slot);
    } else {
      ++slot;
    }
  }
}

void ShardHost::Stop() {
  std::vector<std::shared_ptr<HostedJob>> all;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& [job, slot] : slots_) all.push_back(slot.hosted);
  }
  for (const auto& hosted : all) hosted->runtime->Stop();
}

std::shared_ptr<HostedJob> ShardHost::Find(uint64_t job) const {
  MutexLock lock(&mutex_);
  const auto slot = slots_.find(job);
  return slot == slots_.end() ? nullptr : slot->second.hosted;
}

size_t ShardHost::JobCount() const {
  MutexLock lock(&mutex_);
  return slots_.size();
}

std::vector<uint64_t> ShardHost::Jobs() const {
  std::set<uint64_t> jobs;
  for (const uint64_t job : store_->Jobs()) jobs.insert(job);
  MutexLock lock(&mutex_);
  for (const auto& [job, slot] : slots_) {
    if (!slot.released) jobs.insert(job);
  }
  return {jobs.begin(), jobs.end()};
}

}  // namespace drover
