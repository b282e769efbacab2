#include "server/coordinator/checkpoint_thread.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "server/checkpoint_file.h"

namespace drover {
namespace {

constexpr int64_t kKeepMin = 2;  // The newest, and one to go back to if it turns out damaged.

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

Manifest ManifestOf(const CheckpointTask& task, int64_t unix_ms) {
  const CommitManifest& order = task.manifest;
  const RuleState rule = StateOf(order.record.plan.optimizer);
  Manifest manifest;
  manifest.job = order.record.id;
  manifest.job_name = order.record.name;
  manifest.version = order.version;
  manifest.applied = order.applied;
  manifest.epoch = order.record.epoch;
  manifest.rule = rule.name();
  manifest.slots = static_cast<uint32_t>(rule.arrays());
  manifest.spec_digest = task.spec_digest;
  manifest.numeric_class = order.record.numeric_class;
  manifest.created_unix_ms = static_cast<uint64_t>(unix_ms);
  manifest.tensors = order.record.layout->tensors();
  for (const CommitManifest::File& file : order.files) {
    manifest.files.push_back(
        {file.name, static_cast<uint64_t>(file.bytes), file.xxh3, file.blocks});
  }
  return manifest;
}

Status Commit(FileSystem& fs, const CheckpointTask& task, const Clock& clock,
              ManifestCommitted* event) {
  const CommitManifest& order = task.manifest;
  CheckpointRecord* const checkpoint = &event->checkpoint;
  Manifest manifest = ManifestOf(task, clock.UnixMilliseconds());
  const Instant begin = clock.Now();
  Result<std::string> digest = WeightsDigest(fs, order.directory, manifest);
  event->verify_seconds = Seconds(clock.Now() - begin);
  if (!digest.ok()) return digest.status();
  manifest.weights_digest = std::move(digest).value();
  checkpoint->weights_digest = manifest.weights_digest;
  checkpoint->path =
      ParentOf(order.directory) + "/" + CheckpointName(order.version, order.record.epoch);
  for (const ManifestFile& file : manifest.files) {
    checkpoint->bytes += static_cast<int64_t>(file.bytes);
  }
  return CommitCheckpoint(fs, order.directory, checkpoint->path, manifest);
}

void Prune(FileSystem& fs, const CommitManifest& order) {
  const size_t keep = static_cast<size_t>(std::max(order.record.plan.checkpoint_keep, kKeepMin));
  const Result<std::vector<std::string>> removed =
      PruneCheckpoints(fs, ParentOf(order.directory), keep);
  if (!removed.ok()) {
    // The disk fills up more slowly than a lost checkpoint hurts: the next commit tries again.
    LogWarning("old checkpoints were not removed: {}", removed.status().message());
    return;
  }
  for (const std::string& name : removed.value()) LogDebug("checkpoint removed name={}", name);
}

}  // namespace

ManifestCommitted CommitCheckpointTask(FileSystem& fs, const CheckpointTask& task,
                                       const Clock& clock) {
  const CommitManifest& order = task.manifest;
  ManifestCommitted event;
  event.job = order.record.id;
  event.checkpoint.version = order.version;
  event.checkpoint.applied = order.applied;
  event.checkpoint.ledger = order.ledger;
  event.checkpoint.schedule = order.schedule;
  const Status status = Commit(fs, task, clock, &event);
  if (!status.ok()) {
    event.error = status.message();
    return event;
  }
  Prune(fs, order);
  return event;
}

CheckpointThread::CheckpointThread(FileSystem* fs, const Clock* clock,
                                   std::function<void(ManifestCommitted)> answer)
    : fs_(fs),
      clock_(clock),
      answer_(std::move(answer)),
      thread_("checkpoint", [this] { Loop(); }) {}

CheckpointThread::~CheckpointThread() {
  tasks_.Close();
  thread_.Join();
}

void CheckpointThread::Loop() {
  while (const auto next = tasks_.Pop()) {
    if (const auto* folder = std::get_if<std::string>(&*next)) {
      const Status removed = fs_->RemoveAll(*folder);
      if (!removed.ok()) LogWarning("of a deleted job: {}", removed.message());
      continue;
    }
    const CheckpointTask& task = std::get<CheckpointTask>(*next);
    answer_(CommitCheckpointTask(*fs_, task, *clock_));
  }
}

}  // namespace drover
