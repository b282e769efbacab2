#include "server/shard/shard_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "common/base/check.h"
#include "common/base/logging.h"
#include "server/checkpoint_file.h"
#include "server/shard_file.h"

namespace drover {
namespace {

int64_t RefusedFrames(const AccumulatorCounters& counters) {
  uint64_t refused = 0;
  for (size_t verdict = 0; verdict < counters.frames.size(); ++verdict) {
    if (IsRefusal(static_cast<Verdict>(verdict))) refused += counters.frames[verdict];
  }
  return static_cast<int64_t>(refused);
}

int64_t DuplicateFrames(const AccumulatorCounters& counters) {
  return static_cast<int64_t>(counters.frames[static_cast<size_t>(Verdict::kDuplicate)]);
}

}  // namespace

Result<std::unique_ptr<ShardRuntime>> ShardRuntime::Start(FileSystem& fs, const Clock& clock,
                                                          const ShardRuntimeOptions& options,
                                                          ShardMetrics* metrics,
                                                          std::function<void(ShardReply)> send) {
  Result<std::unique_ptr<ShardStore>> store =
      ShardStore::Open(fs, options.state_dir, options.snapshots, *options.device, options.threads);
  if (!store.ok()) return store.status();
  return Start(fs, clock, options, metrics, std::move(send), std::move(store).value());
}

std::unique_ptr<ShardRuntime> ShardRuntime::Start(FileSystem& fs, const Clock& clock,
                                                  const ShardRuntimeOptions& options,
                                                  ShardMetrics* metrics,
                                                  std::function<void(ShardReply)> send,
                                                  std::unique_ptr<ShardStore> store) {
  return std::unique_ptr<ShardRuntime>(
      new ShardRuntime(fs, clock, options, metrics, std::move(send), std::move(store)));
}

ShardRuntime::ShardRuntime(FileSystem& fs, const Clock& clock, const ShardRuntimeOptions& options,
                           ShardMetrics* metrics, std::function<void(ShardReply)> send,
                           std::unique_ptr<ShardStore> store)
    : fs_(fs),
      clock_(clock),
      options_(options),
      metrics_(metrics),
      send_(std::move(send)),
      publisher_(clock, [metrics](Duration duration) { metrics->ObservePublish(duration); }),
      queue_(kQueueMax),
      store_(std::move(store)) {
  thread_ = Thread("step", [this] { Run(); });
}

ShardRuntime::~ShardRuntime() { Stop(); }

void ShardRuntime::Post(ShardEvent event) { (void)queue_.Push(std::move(event)); }

void ShardRuntime::Stop() {
  stopping_ = true;
  queue_.Close();
  thread_.Join();
  publisher_.Clear();
}

std::shared_ptr<Accumulator> ShardRuntime::accumulator() const {
  MutexLock lock(&mutex_);
  return accumulator_;
}

void ShardRuntime::Run() {
  while (const std::optional<ShardEvent> event = queue_.Pop()) {
    if (stopping_) continue;
    HandleEvent(*event);
    while (!own_events_.empty()) {
      const ShardEvent own = std::move(own_events_.front());
      own_events_.pop_front();
      HandleEvent(own);
    }
    if (!std::exchange(snapshot_may_be_due_, false) || !held_.has_value()) continue;
    // Workers compute the next step meanwhile.
    const Status written = store_->SnapshotIfDue(*held_);
    if (!written.ok()) LogWarning({.job = held_->place.job}, "snapshot: {}", written.message());
  }
}

void ShardRuntime::HandleEvent(const ShardEvent& event) {
  if (IsStale(event)) return;
  for (const ShardAction& action : core_.Handle(event)) {
    const Status done = std::visit([this](const auto& what) { return Do(what); }, action);
    if (!done.ok()) return Fail(done);
  }
}

// A step may have been thrown away while its last chunk was being reported.
bool ShardRuntime::IsStale(const ShardEvent& event) const {
  const auto* complete = std::get_if<GradientComplete>(&event);
  return complete != nullptr && (!held_.has_value() || !held_->accumulator->complete());
}

Status ShardRuntime::Do(const LoadRange& action) {
  const PlaceOrder& place = action.place;
  Drop();
  const Instant begin = clock_.Now();
  RangeLoaded event;
  event.fence = {place.job, place.epoch, 0};
  Result<LoadedRange> loaded = store_->Load(place);
  if (!loaded.ok()) {
    LogError({.job = place.job}, "cannot load blocks [{}, {}): {}", place.blocks.begin,
             place.blocks.end, loaded.status().ToString());
    event.error = loaded.status().ToString();
    own_events_.push_back(std::move(event));
    return Status();
  }
  held_ = std::move(loaded.value().held);
  const Duration duration = clock_.Now() - begin;
  event.fence.step = held_->engine->version();
  event.prepared = loaded.value().prepared;
  LogInfo({.job = place.job, .step = event.fence.step},
          "loaded blocks [{}, {}) version={} prepared={} source={} redone_steps={} seconds={:.3f}",
          place.blocks.begin, place.blocks.end, event.fence.step, event.prepared,
          loaded.value().source, loaded.value().redone_steps, Seconds(duration));
  uint64_t parameters = 0;
  for (uint32_t block = place.blocks.begin; block < place.blocks.end; ++block) {
    parameters += place.layout->blocks()[block].size;
  }
  metrics_->SetJob(place.job, place.shard_index, parameters);
  metrics_->ObserveRestore(loaded.value().source, duration);
  publisher_.Place(place.job, place.epoch, place.layout, place.blocks);
  if (event.prepared) {  // Else when the step is open.
    metrics_->OpenStep(0);
    Publish();
  }
  SetAccumulator(held_->accumulator);
  own_events_.push_back(std::move(event));
  return Status();
}

Status ShardRuntime::Do(const OpenStep& action) {
  held_->accumulator->Open(action.fence.epoch, static_cast<uint64_t>(action.fence.step));
  prepared_.reset();
  prepare_began_.reset();
  duplicates_before_ = DuplicateFrames(held_->accumulator->counters());
  metrics_->OpenStep(held_->accumulator->chunk_count() * held_->accumulator->leaves());
  // Only now, so that no worker is quick enough to have its first chunk refused.
  Publish();
  return Status();
}

Status ShardRuntime::Do(const AdoptEpoch& action) {
  held_->place = *core_.place();
  held_->accumulator->AdoptEpoch(action.fence.epoch);
  publisher_.Place(held_->place.job, action.fence.epoch, held_->place.layout, held_->place.blocks);
  return Status();
}

Status ShardRuntime::Do(const CloseStep&) {
  if (held_.has_value()) held_->accumulator->Close();
  return Status();
}

Status ShardRuntime::Do(const AppendGradient&) {
  const Instant begin = clock_.Now();
  prepare_began_ = begin;
  const uint64_t before = store_->redo_bytes_total();
  DROVER_RETURN_IF_ERROR(store_->AppendGradient(*held_));
  metrics_->CountRedo(store_->redo_bytes_total() - before, clock_.Now() - begin);
  return Status();
}

Status ShardRuntime::Do(const SendPlaced& action) {
  PlacedReply reply = action.reply;
  if (held_.has_value()) reply.leaves = held_->accumulator->complete_leaves().words();
  reply.fence.step = std::max<int64_t>(0, reply.fence.step);
  send_(std::move(reply));
  return Status();
}

Status ShardRuntime::Do(const SendPrepared& action) {
  if (!prepared_.has_value()) {
    const Accumulator& accumulator = *held_->accumulator;
    const StepStats stats = accumulator.stats();
    const AccumulatorCounters counters = accumulator.counters();
    PreparedReply reply;
    reply.stats = {stats.loss, stats.correct, stats.samples, stats.tokens, stats.squares};
    reply.gradient_squares = accumulator.block_squares();
    reply.leaf_chunks = static_cast<int64_t>(accumulator.chunk_count() * accumulator.leaves());
    reply.duplicates = DuplicateFrames(counters) - duplicates_before_;
    reply.refused = RefusedFrames(counters) - std::exchange(refused_told_, RefusedFrames(counters));
    if (prepare_began_) reply.seconds = Seconds(clock_.Now() - *prepare_began_);
    prepared_ = std::move(reply);
  }
  prepared_->fence = action.fence;
  send_(*prepared_);
  return Status();
}

Status ShardRuntime::Do(const RunMeasure& action) {
  const MeasureOrder& order = action.order;
  DROVER_RETURN_IF_ERROR(held_->engine->Check(order.numbers, /*with_scales=*/false));
  const Instant begin = clock_.Now();
  MeasuredSquares squares = held_->engine->Measure(order.numbers, *held_->accumulator);
  metrics_->ObserveMeasure(clock_.Now() - begin);
  send_(MeasuredReply{order.fence, std::move(squares.weight), std::move(squares.direction)});
  return Status();
}

Status ShardRuntime::Do(const AppendCommit& action) {
  const CommitOrder& order = action.order;
  if (!order.skip) {
    DROVER_RETURN_IF_ERROR(held_->engine->Check(order.numbers, /*with_scales=*/true));
  }
  const Instant begin = clock_.Now();
  const uint64_t before = store_->redo_bytes_total();
  DROVER_RETURN_IF_ERROR(store_->AppendCommit(*held_, order));
  metrics_->CountRedo(store_->redo_bytes_total() - before, clock_.Now() - begin);
  return Status();
}

Status ShardRuntime::Do(const ApplyStep& action) {
  DROVER_CHECK(action.order.fence.step == held_->engine->version());
  if (action.order.skip) {
    held_->engine->Skip();
  } else {
    ReserveNext();
    const Instant begin = clock_.Now();
    held_->engine->Apply(action.order.numbers, *held_->accumulator);
    metrics_->ObserveApply(clock_.Now() - begin);
  }
  snapshot_may_be_due_ = true;
  return Status();
}

Status ShardRuntime::Do(const SendApplied& action) {
  send_(AppliedReply{action.fence});
  return Status();
}

Status ShardRuntime::Do(const DropPrevious& action) {
  publisher_.DropBefore(action.fence.step + 1);
  return Status();
}

Status ShardRuntime::Do(const RunCheckpoint& action) {
  const WriteCheckpointOrder& order = action.order;
  if (!HasWritten(order)) {
    checkpoint_.reset();
    CheckpointWrittenReply reply = WriteCheckpoint(order);
    if (!reply.error.empty()) {
      send_(std::move(reply));
      return Status();
    }
    checkpoint_ = std::move(reply);
    checkpoint_directory_ = order.directory;
  }
  checkpoint_->fence = order.fence;
  send_(*checkpoint_);
  return Status();
}

Status ShardRuntime::Do(const RefuseCheckpoint& action) {
  const WriteCheckpointOrder& order = action.order;
  if (HasWritten(order)) {  // Repeated, though the job has gone on.
    checkpoint_->fence = order.fence;
    send_(*checkpoint_);
    return Status();
  }
  LogWarning({.job = order.fence.job, .step = order.fence.step},
             "checkpoint refused: epoch={} reason=\"{}\"", order.fence.epoch, action.reason);
  CheckpointWrittenReply reply;
  reply.fence = order.fence;
  reply.error = action.reason;
  send_(std::move(reply));
  return Status();
}

Status ShardRuntime::Do(const ForgetJob& action) {
  if (!held_.has_value() || held_->place.job == action.job) {
    Drop();
    metrics_->ClearJob();
  }
  const Status forgotten = store_->Forget(action.job);
  if (!forgotten.ok()) LogWarning({.job = action.job}, "{}", forgotten.message());
  if (options_.on_forgotten != nullptr) options_.on_forgotten();
  return Status();
}

Status ShardRuntime::Do(const RefuseOrder& action) {
  LogWarning({.job = action.fence.job, .step = action.fence.step},
             "order refused: epoch={} reason=\"{}\"", action.fence.epoch, action.reason);
  return Status();
}

// All shards hold the version that is about to become the previous one, else its step would not
// have been prepared: the one before it may go.
void ShardRuntime::ReserveNext() {
  StepEngine& engine = *held_->engine;
  publisher_.DropBefore(engine.version());
  if (engine.ReserveNext(options_.reader_patience)) return;
  const size_t slow = publisher_.CancelReadersBefore(engine.version());
  const LogPlace place = {.job = held_->place.job, .step = engine.version()};
  LogWarning(place, "cancelled {} streams that still read an older version", slow);
  if (engine.ReserveNext(options_.reader_patience)) return;
  LogWarning(place, "an older version is still read, taking more memory");
  engine.ReserveNextExtra();
}

void ShardRuntime::Publish() {
  publisher_.Publish(held_->engine->current());
  metrics_->SetVersion(held_->engine->version());
  metrics_->SetStateBytes(held_->engine->bytes() + held_->accumulator->bytes());
}

void ShardRuntime::Drop() {
  SetAccumulator(nullptr);
  publisher_.Clear();
  held_.reset();
  prepared_.reset();
  prepare_began_.reset();
  checkpoint_.reset();
  refused_told_ = 0;
}

void ShardRuntime::Fail(const Status& status) {
  DROVER_CHECK(core_.place().has_value());
  const Fence fence = {core_.place()->job, core_.place()->epoch, 0};
  LogError({.job = fence.job}, "given up until it is placed again: {}", status.ToString());
  if (held_.has_value()) held_->accumulator->Close();
  Drop();
  core_ = Shard();
  own_events_.clear();
  PlacedReply reply;
  reply.fence = fence;
  reply.error = status.ToString();
  send_(std::move(reply));
}

void ShardRuntime::SetAccumulator(std::shared_ptr<Accumulator> accumulator) {
  MutexLock lock(&mutex_);
  accumulator_.swap(accumulator);
}

bool ShardRuntime::HasWritten(const WriteCheckpointOrder& order) const {
  return checkpoint_.has_value() && checkpoint_->fence.job == order.fence.job &&
         checkpoint_->fence.step == order.fence.step && checkpoint_directory_ == order.directory;
}

CheckpointWrittenReply ShardRuntime::WriteCheckpoint(const WriteCheckpointOrder& order) const {
  const PlaceOrder& place = held_->place;
  CheckpointWrittenReply reply;
  reply.fence = order.fence;
  const std::string path =
      order.directory + "/" + CheckpointShardName(place.shard_index, place.shard_count);
  // Left by an attempt whose answer was lost; its bytes would be the same.
  Status removed = fs_.RemoveAll(path);
  const Result<WrittenFile> written =
      removed.ok()
          ? WriteShardFile(fs_, path, HeaderOf(*held_), *place.layout, held_->engine->arrays())
          : Result<WrittenFile>(std::move(removed));
  if (!written.ok()) {
    LogError({.job = order.fence.job, .step = order.fence.step}, "checkpoint: {}",
             written.status().ToString());
    reply.error = written.status().ToString();
    return reply;
  }
  reply.file = written.value().name;
  reply.bytes = static_cast<int64_t>(written.value().bytes);
  reply.xxh3 = written.value().xxh3;
  return reply;
}

}  // namespace drover
