#include "server/shard/shard_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/base/quote.h"
#include "server/checkpoint_file.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

constexpr std::string_view kJobPrefix = "job-";
constexpr char kSnapshotName[] = "/snapshot.bin";
constexpr char kSnapshotTemporaryName[] = "/snapshot.tmp";

// Whether the files say so themselves: then they are of no use. Else the disk did not answer.
bool FilesAreUseless(const Status& status) {
  switch (status.code()) {
    case Code::kDataLoss:
    case Code::kFailedPrecondition:
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kUnimplemented:
    case Code::kNotFound:
      return true;
    default:
      return false;
  }
}

// Applies the records of a redo log to a range, one after the other.
class Replayer {
 public:
  explicit Replayer(HeldRange* held) : held_(held) {}

  Status Consume(const RedoRecord& record) {
    const int64_t version = held_->engine->version();
    if (record.step < version) return Status();  // The snapshot, or the origin, is newer.
    if (record.step > version) {
      return Status(Code::kDataLoss, fmt::format("redo record of step {} after version {}: steps "
                                                 "in between are missing",
                                                 record.step, version));
    }
    switch (record.type) {
      case RedoRecord::Type::kGradient:
        return ConsumeGradient(record);
      case RedoRecord::Type::kCommit:
        return ConsumeCommit(record);
    }
    return Status(Code::kUnimplemented, "redo record of an unknown type");
  }

  bool prepared() const { return prepared_; }
  int64_t steps() const { return steps_; }

 private:
  Status ConsumeGradient(const RedoRecord& record) {
    // One gradient, chunk after chunk, as LoadGradient wants it.
    std::vector<float> gradient;
    gradient.reserve(held_->accumulator->gradient_elements());
    for (const std::span<const float> chunk : record.chunks) {
      gradient.insert(gradient.end(), chunk.begin(), chunk.end());
    }
    const StepStats stats = {record.stats.loss_fixed, record.stats.correct, record.stats.samples,
                             record.stats.tokens, record.stats.squares};
    const Status loaded = held_->accumulator->LoadGradient(
        held_->place.epoch, static_cast<uint64_t>(record.step), gradient, stats);
    if (!loaded.ok()) return Status(Code::kDataLoss, loaded.message());
    prepared_ = true;
    return Status();
  }

  Status ConsumeCommit(const RedoRecord& record) {
    v1::Commit message;
    if (!message.ParseFromString(record.commit_bytes)) {
      return Status(Code::kDataLoss,
                    fmt::format("redo record of commit {} is no commit", record.step));
    }
    const Result<CommitOrder> order = CommitFromProto(message);
    if (!order.ok()) return order.status();
    if (order.value().fence.step != record.step || (!order.value().skip && !prepared_)) {
      return Status(Code::kDataLoss,
                    fmt::format("redo record of commit {} without its gradient", record.step));
    }
    if (order.value().skip) {
      held_->engine->Skip();
    } else {
      DROVER_RETURN_IF_ERROR(held_->engine->Check(order.value().numbers, /*with_scales=*/true));
      held_->engine->ReserveNextExtra();
      held_->engine->Apply(order.value().numbers, *held_->accumulator);
    }
    prepared_ = false;
    ++steps_;
    return Status();
  }

  HeldRange* const held_;
  bool prepared_ = false;
  int64_t steps_ = 0;
};

}  // namespace

ShardFileHeader HeaderOf(const HeldRange& held) {
  ShardFileHeader header;
  header.job = held.place.job;
  header.version = held.engine->version();
  header.applied = held.engine->applied();
  header.layout_hash = held.place.layout->hash();
  header.blocks = held.place.blocks;
  header.rule = held.place.rule.name();
  header.slots = static_cast<uint32_t>(held.place.rule.arrays());
  return header;
}

// Held until the process ends, however it ends.
class ShardStore::DirectoryLock {
 public:
  static Result<std::unique_ptr<DirectoryLock>> Take(const std::string& state_dir) {
    const std::string path = state_dir + "/LOCK";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file < 0) {
      return Status(Code::kPermissionDenied, fmt::format("cannot open {}: {}", Quote(path),
                                                         std::generic_category().message(errno)));
    }
    std::unique_ptr<DirectoryLock> lock(new DirectoryLock(file));
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
      return Status(Code::kFailedPrecondition,
                    fmt::format("{} is locked: another shard uses this directory; give each shard "
                                "its own --state-dir",
                                Quote(path)));
    }
    return lock;
  }
  ~DirectoryLock() { close(file_); }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int file) : file_(file) {}
  const int file_;
};

ShardStore::ShardStore(FileSystem& fs, std::string state_dir, const SnapshotLimits& limits,
                       const ShardDevice& device, int threads,
                       std::shared_ptr<const DirectoryLock> lock)
    : fs_(fs),
      state_dir_(std::move(state_dir)),
      limits_(limits),
      device_(device),
      threads_(threads),
      lock_(std::move(lock)) {}

ShardStore::~ShardStore() = default;

Result<std::unique_ptr<ShardStore>> ShardStore::Open(FileSystem& fs, const std::string& state_dir,
                                                     const SnapshotLimits& limits,
                                                     const ShardDevice& device, int threads) {
  DROVER_RETURN_IF_ERROR(fs.MakeDirectories(state_dir).Annotate("state directory"));
  Result<std::unique_ptr<DirectoryLock>> lock = DirectoryLock::Take(state_dir);
  if (!lock.ok()) return lock.status();
  return std::unique_ptr<ShardStore>(
      new ShardStore(fs, state_dir, limits, device, threads, std::move(lock).value()));
}

std::unique_ptr<ShardStore> ShardStore::ShareDirectory() const {
  return std::unique_ptr<ShardStore>(
      new ShardStore(fs_, state_dir_, limits_, device_, threads_, lock_));
}

std::vector<uint64_t> ShardStore::Jobs() const {
  std::vector<uint64_t> jobs;
  const Result<std::vector<std::string>> names = fs_.List(state_dir_);
  if (!names.ok()) return jobs;
  for (const std::string& name : names.value()) {
    uint64_t job = 0;
    const char* const end = name.data() + name.size();
    if (name.size() != kJobPrefix.size() + 16 || !name.starts_with(kJobPrefix)) continue;
    const auto [rest, error] = std::from_chars(name.data() + kJobPrefix.size(), end, job, 16);
    if (error == std::errc() && rest == end) jobs.push_back(job);
  }
  std::sort(jobs.begin(), jobs.end());
  return jobs;
}

std::string ShardStore::DirectoryOf(uint64_t job) const {
  return fmt::format("{}/{}{:016x}", state_dir_, kJobPrefix, job);
}

Result<LoadedRange> ShardStore::Load(const PlaceOrder& place) {
  log_.reset();
  if (place.discard) return StartOver(place);
  DROVER_RETURN_IF_ERROR(fs_.MakeDirectories(DirectoryOf(place.job)));
  Result<LoadedRange> local = LoadLocal(place);
  if (local.ok()) {
    const int64_t version = local.value().held.engine->version();
    if (version >= place.origin.version) return local;
    LogInfo({.job = place.job}, "local state of version {} is behind the origin of version {}",
            version, place.origin.version);
  } else if (!FilesAreUseless(local.status())) {
    return local.status();
  } else if (local.status().code() != Code::kNotFound) {
    LogWarning({.job = place.job}, "local state is of no use: {}", local.status().message());
  }
  local = Status(Code::kNotFound, "given up");  // Its memory goes first.
  return StartOver(place);
}

Result<HeldRange> ShardStore::MakeRange(const PlaceOrder& place) const {
  AccumulatorOptions options;
  options.job = place.job;
  options.owned = place.blocks;
  options.shapes = place.shapes;
  options.fraction_bits = place.fraction_bits;
  Result<RangeArrays> arrays = device_.MakeRange(place);
  if (!arrays.ok()) return arrays.status();
  Result<std::unique_ptr<Accumulator>> accumulator =
      Accumulator::Make(place.layout, options, std::move(arrays.value().sums));
  if (!accumulator.ok()) return accumulator.status();
  HeldRange held;
  held.place = place;
  held.accumulator = std::move(accumulator).value();
  held.engine = std::make_unique<StepEngine>(place.layout, place.blocks, place.rule, threads_,
                                             place.publish_bf16, std::move(arrays.value().weights));
  return held;
}

Status ShardStore::LoadOrigin(const PlaceOrder& place, StepEngine* engine) const {
  if (place.origin.checkpoint.empty()) {
    if (place.origin.version != 0) {
      return Status(Code::kInvalidArgument,
                    fmt::format("origin of version {} without a checkpoint", place.origin.version));
    }
    engine->FillFromSeed(place.seed);
    engine->Begin(/*version=*/0, /*applied=*/0);
    return Status();
  }
  const std::string what = "checkpoint " + Quote(place.origin.checkpoint);
  const Result<Manifest> manifest = ReadManifest(fs_, place.origin.checkpoint);
  if (!manifest.ok()) return manifest.status().Annotate(what);
  // Another job's would fit just as well where the model is the same.
  if (manifest.value().job != place.job) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("{} is of job {:016x}: expected one of job {:016x}", what,
                              manifest.value().job, place.job));
  }
  const std::string rule = place.rule.name();
  if (manifest.value().version != place.origin.version || manifest.value().rule != rule) {
    return Status(
        Code::kFailedPrecondition,
        fmt::format("{} holds version {} of rule {}: expected version {} of rule {}", what,
                    manifest.value().version, manifest.value().rule, place.origin.version, rule));
  }
  DROVER_RETURN_IF_ERROR(ReadCheckpointRange(fs_, place.origin.checkpoint, manifest.value(),
                                             *place.layout, place.blocks, engine->ArraysToFill())
                             .Annotate(what));
  engine->Begin(manifest.value().version, manifest.value().applied);
  return Status();
}

// False when there is none.
Result<bool> ShardStore::LoadSnapshot(const PlaceOrder& place, StepEngine* engine) const {
  const std::string path = DirectoryOf(place.job) + kSnapshotName;
  if (!fs_.Exists(path)) return false;
  const Result<ShardFileHeader> header =
      ReadShardFile(fs_, path, *place.layout, place.blocks, engine->ArraysToFill());
  if (!header.ok()) return header.status();
  if (header.value().job != place.job || header.value().rule != place.rule.name()) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("snapshot {} is of job {:016x}, rule {}", Quote(path),
                              header.value().job, header.value().rule));
  }
  engine->Begin(header.value().version, header.value().applied);
  return true;
}

Result<LoadedRange> ShardStore::LoadLocal(const PlaceOrder& place) {
  const Result<std::vector<std::string>> names = fs_.List(DirectoryOf(place.job));
  if (!names.ok()) return names.status();
  if (names.value().empty()) return Status(Code::kNotFound, "no local state");
  Result<std::unique_ptr<RedoLog>> log =
      RedoLog::Open(fs_, DirectoryOf(place.job), place.job, place.layout->hash(), place.blocks);
  if (!log.ok()) return log.status();
  Result<HeldRange> held = MakeRange(place);
  if (!held.ok()) return held.status();
  LoadedRange loaded;
  loaded.held = std::move(held).value();
  const Result<bool> snapshot = LoadSnapshot(place, loaded.held.engine.get());
  if (!snapshot.ok()) return snapshot.status();
  loaded.source = "snapshot";
  if (!snapshot.value()) {
    // A young job has no snapshot yet: its log starts from the origin.
    DROVER_RETURN_IF_ERROR(LoadOrigin(place, loaded.held.engine.get()));
  }
  Replayer replayer(&loaded.held);
  const Result<RedoLog::ReplayReport> report =
      log.value()->Replay([&](const RedoRecord& record) { return replayer.Consume(record); });
  if (!report.ok()) return report.status();
  if (!report.value().base_version.has_value()) {
    if (!snapshot.value()) return Status(Code::kNotFound, "no local state");
    DROVER_RETURN_IF_ERROR(log.value()->Restart(loaded.held.engine->version()));
  }
  if (report.value().records > 0) loaded.source = "redo";
  loaded.prepared = replayer.prepared();
  loaded.redone_steps = replayer.steps();
  log_ = std::move(log).value();
  log_records_ = report.value().records;
  return loaded;
}

Result<LoadedRange> ShardStore::StartOver(const PlaceOrder& place) {
  const std::string directory = DirectoryOf(place.job);
  Result<HeldRange> held = MakeRange(place);
  if (!held.ok()) return held.status();
  LoadedRange loaded;
  loaded.held = std::move(held).value();
  loaded.source = place.origin.checkpoint.empty() ? "initial" : "checkpoint";
  // Local files go only when there is something to put in their place.
  DROVER_RETURN_IF_ERROR(LoadOrigin(place, loaded.held.engine.get()));
  DROVER_RETURN_IF_ERROR(fs_.RemoveAll(directory));
  DROVER_RETURN_IF_ERROR(fs_.MakeDirectories(directory));
  Result<std::unique_ptr<RedoLog>> log =
      RedoLog::Open(fs_, directory, place.job, place.layout->hash(), place.blocks);
  if (!log.ok()) return log.status();
  DROVER_RETURN_IF_ERROR(log.value()->Restart(place.origin.version));
  log_ = std::move(log).value();
  log_records_ = 0;
  return loaded;
}

Status ShardStore::AppendGradient(const HeldRange& held) {
  const Status written = WriteGradient(held);
  if (written.ok()) return written;
  LogError("redo log: {}; trying a snapshot", written.message());
  DROVER_RETURN_IF_ERROR(WriteSnapshot(held).Annotate("snapshot after " + written.message()));
  return WriteGradient(held);
}

Status ShardStore::AppendCommit(const HeldRange& held, const CommitOrder& order) {
  const Status written = WriteCommit(order);
  if (written.ok()) return written;
  LogError("redo log: {}; trying a snapshot", written.message());
  DROVER_RETURN_IF_ERROR(WriteSnapshot(held).Annotate("snapshot after " + written.message()));
  // The new log does not know the gradient yet.
  if (!order.skip) DROVER_RETURN_IF_ERROR(WriteGradient(held));
  return WriteCommit(order);
}

Status ShardStore::WriteGradient(const HeldRange& held) {
  const Accumulator& accumulator = *held.accumulator;
  std::vector<std::span<const float>> chunks;
  for (size_t chunk = 0; chunk < accumulator.chunk_count(); ++chunk) {
    chunks.push_back(accumulator.gradient(chunk));
  }
  const StepStats stats = accumulator.stats();
  const uint64_t before = log_->bytes();
  DROVER_RETURN_IF_ERROR(log_->AppendGradient(
      held.engine->version(),
      {stats.loss, stats.correct, stats.samples, stats.tokens, stats.squares}, chunks));
  redo_bytes_total_ += log_->bytes() - before;
  ++log_records_;
  return Status();
}

Status ShardStore::WriteCommit(const CommitOrder& order) {
  const uint64_t before = log_->bytes();
  DROVER_RETURN_IF_ERROR(
      log_->AppendCommit(order.fence.step, CommitToProto(order).SerializeAsString()));
  redo_bytes_total_ += log_->bytes() - before;
  ++log_records_;
  return Status();
}

Status ShardStore::SnapshotIfDue(const HeldRange& held) {
  const uint64_t bytes = log_->bytes();
  const bool due = (log_records_ >= limits_.records && bytes >= limits_.bytes_min) ||
                   log_records_ >= limits_.records_max || bytes > limits_.bytes_max;
  return due ? WriteSnapshot(held) : Status();
}

Status ShardStore::WriteSnapshot(const HeldRange& held) {
  const std::string directory = DirectoryOf(held.place.job);
  const std::string temporary = directory + kSnapshotTemporaryName;
  DROVER_RETURN_IF_ERROR(fs_.RemoveAll(temporary));  // Of an attempt that was interrupted.
  const Result<WrittenFile> written =
      WriteShardFile(fs_, temporary, HeaderOf(held), *held.place.layout, held.engine->arrays());
  if (!written.ok()) return written.status();
  DROVER_RETURN_IF_ERROR(fs_.Rename(temporary, directory + kSnapshotName));
  DROVER_RETURN_IF_ERROR(fs_.SyncDirectory(directory));
  DROVER_RETURN_IF_ERROR(log_->Restart(held.engine->version()));
  log_records_ = 0;
  return Status();
}

Status ShardStore::Forget(uint64_t job) {
  log_.reset();
  return fs_.RemoveAll(DirectoryOf(job));
}

}  // namespace drover
