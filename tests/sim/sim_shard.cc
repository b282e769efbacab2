#include "tests/sim/sim_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace drover::sim {
namespace {

double Square(uint64_t value) { return static_cast<double>(value % 100000) / 1000.0 + 0.5; }

}  // namespace

SimShard::SimShard(std::string name, SimClock* clock, const Faults* faults, Mutant mutant,
                   Hooks hooks)
    : name_(std::move(name)),
      clock_(clock),
      faults_(faults),
      mutant_(mutant),
      hooks_(std::move(hooks)),
      incarnation_(clock->Draw(UINT64_MAX)),
      memory_(std::make_unique<Memory>()) {}

const BlockValues* SimShard::weights() const {
  const auto found = memory_->versions.find(memory_->core.version());
  return found == memory_->versions.end() ? nullptr : &found->second;
}

void SimShard::Order(const ShardOrder& order) {
  Run(std::visit([this](const auto& o) { return memory_->core.Handle(o); }, order));
}

void SimShard::Crash(bool lose_disk) {
  incarnation_ = clock_->Draw(UINT64_MAX);
  frozen_until_ = {};
  memory_ = std::make_unique<Memory>();
  if (lose_disk) disk_.reset();
}

// Carries actions out in order; a crash may come between any two of them.
void SimShard::Run(const std::vector<ShardAction>& actions) {
  for (const ShardAction& action : actions) {
    if (clock_->Chance(faults_->crash_between_actions)) return hooks_.crash();
    Do(action);
  }
}

void SimShard::Do(const ShardAction& action) {
  if (const auto* load = std::get_if<LoadRange>(&action)) {
    Load(*load);
  } else if (const auto* open = std::get_if<drover::OpenStep>(&action)) {
    OpenStep(open->fence);
  } else if (const auto* adopt = std::get_if<AdoptEpoch>(&action)) {
    memory_->gate.epoch = adopt->fence.epoch;
  } else if (std::get_if<CloseStep>(&action) != nullptr) {
    memory_->gate.step.reset();
  } else if (const auto* append = std::get_if<AppendGradient>(&action)) {
    disk_->redo.push_back({append->fence.step, memory_->gradient, memory_->stats, {}});
  } else if (const auto* placed = std::get_if<SendPlaced>(&action)) {
    PlacedReply reply = placed->reply;
    if (reply.error.empty()) reply.leaves = CompleteLeaves().words();
    hooks_.reply(reply);
  } else if (const auto* prepared = std::get_if<SendPrepared>(&action)) {
    hooks_.reply(Prepared(prepared->fence));
  } else if (const auto* measure = std::get_if<RunMeasure>(&action)) {
    hooks_.reply(Measured(measure->order.fence));
  } else if (const auto* commit = std::get_if<AppendCommit>(&action)) {
    disk_->redo.push_back({commit->order.fence.step, {}, {}, commit->order});
  } else if (const auto* apply = std::get_if<ApplyStep>(&action)) {
    Apply(apply->order);
  } else if (const auto* applied = std::get_if<SendApplied>(&action)) {
    hooks_.reply(AppliedReply{applied->fence});
  } else if (const auto* drop = std::get_if<DropPrevious>(&action)) {
    memory_->versions.erase(drop->fence.step);
  } else if (const auto* save = std::get_if<RunCheckpoint>(&action)) {
    for (const auto& [block, value] : *weights()) {
      (*hooks_.storage)[save->order.directory][block] = value;
    }
    hooks_.reply(CheckpointWrittenReply{save->order.fence, name_, 1, "", ""});
  } else if (const auto* refuse = std::get_if<RefuseCheckpoint>(&action)) {
    hooks_.reply(CheckpointWrittenReply{refuse->order.fence, "", 0, "", refuse->reason});
  } else if (std::get_if<ForgetJob>(&action) != nullptr) {
    disk_.reset();
  }
}

void SimShard::Load(const LoadRange& action) {
  const PlaceOrder& place = action.place;
  if (place.discard) disk_.reset();
  RangeLoaded loaded{{place.job, place.epoch, 0}, false, ""};
  if (!disk_ || disk_->job != place.job || disk_->blocks != place.blocks) {
    disk_ = Disk{place.job, place.blocks, place.origin.version, {}, {}};
    for (uint32_t block = place.blocks.begin; block < place.blocks.end; ++block) {
      disk_->weights[block] = place.origin.checkpoint.empty()
                                  ? InitialWeight(place.seed, block)
                                  : hooks_.storage->at(place.origin.checkpoint).at(block);
    }
  }
  // Snapshot, then redo records in order: what was applied before, applied again.
  int64_t version = disk_->version;
  BlockValues weights = disk_->weights;
  BlockValues gradient;
  StepStats stats;
  bool prepared = false;
  for (const RedoRecord& record : disk_->redo) {
    if (record.step != version) continue;
    if (record.gradient) {
      gradient = *record.gradient;
      stats = record.stats;
      prepared = true;
    } else {
      weights = Applied(weights, gradient, *record.commit);
      ++version;
      prepared = false;
    }
  }
  memory_->versions = {{version, weights}};
  OpenStep({place.job, place.epoch, version});
  if (!prepared) memory_->gate.step.reset();
  if (prepared) {
    memory_->gradient = gradient;
    memory_->stats = stats;
    for (Chunk& chunk : memory_->chunks) {
      chunk.leaves.Add({0, chunk.leaves.leaves()});
      chunk.added.assign(chunk.leaves.leaves(), 1);
    }
    memory_->stats_leaves.Add({0, memory_->stats_leaves.leaves()});
  }
  loaded.fence.step = version;
  loaded.prepared = prepared;
  const uint64_t incarnation = incarnation_;
  clock_->After(clock_->Between(100, 20000), [this, loaded, incarnation] {
    if (incarnation == incarnation_) Run(memory_->core.Handle(loaded));
  });
}

void SimShard::OpenStep(const Fence& fence) {
  const PlaceOrder& place = *memory_->core.place();
  memory_->gate = {place.job, place.layout->hash(), fence.epoch, static_cast<uint64_t>(fence.step)};
  const uint32_t leaves = ShapeAt(place.shapes, fence.step).leaves;
  memory_->chunks.clear();
  for (const BlockRange& blocks : place.layout->Chunks(place.blocks)) {
    memory_->chunks.push_back({blocks, LeafSet(leaves), std::vector<int>(leaves, 0), {}});
  }
  memory_->stats_leaves = LeafSet(leaves);
  memory_->stats = {};
  memory_->gradient.clear();
  memory_->duplicates = 0;
  memory_->refused = 0;
  ServePulls();
}

BlockValues SimShard::Applied(const BlockValues& weights, const BlockValues& gradient,
                              const CommitOrder& order) const {
  if (order.skip) return weights;
  BlockValues next;
  for (const auto& [block, value] : weights) {
    const PlaceOrder& place = *memory_->core.place();
    const uint32_t tensor = place.layout->blocks()[block].tensor;
    const uint32_t scale = std::bit_cast<uint32_t>(order.numbers.tensor_scales[tensor]);
    const uint32_t clip = std::bit_cast<uint32_t>(order.numbers.groups.front().clip);
    const LookaheadStep& lookahead = order.numbers.lookahead;
    next[block] = Mix({value, gradient.at(block), scale, clip, uint64_t{lookahead.begin},
                       uint64_t{lookahead.sync}, std::bit_cast<uint32_t>(lookahead.gain)});
  }
  return next;
}

void SimShard::Apply(const CommitOrder& order) {
  const int64_t step = order.fence.step;
  if (!order.skip) {
    for (const Chunk& chunk : memory_->chunks) {
      for (uint32_t leaf = 0; leaf < chunk.leaves.leaves(); ++leaf) {
        if (chunk.added[leaf] == 1) continue;
        hooks_.violation(
            fmt::format("I1: {} applied step {} with leaf {} added {} times to the "
                        "chunk at block {}",
                        name_, step, leaf, chunk.added[leaf], chunk.blocks.begin));
      }
    }
  }
  const auto current = memory_->versions.find(step);
  if (current == memory_->versions.end() || memory_->versions.count(step + 1) != 0) {
    return hooks_.violation(fmt::format("I2: {} applied step {} on other weights", name_, step));
  }
  memory_->versions[step + 1] = Applied(current->second, memory_->gradient, order);
  while (memory_->versions.size() > 2) memory_->versions.erase(memory_->versions.begin());
  if (disk_->redo.size() >= 6) {  // A snapshot makes the records before it unnecessary.
    disk_->version = step + 1;
    disk_->weights = memory_->versions[step + 1];
    disk_->redo.clear();
  }
}

// ---- Data plane.

void SimShard::Push(const std::string& worker, const ToyFrame& frame) {
  const bool was_complete = Complete();
  ToyFrame answer = frame;
  answer.header.type = FrameType::kAck;
  answer.header.verdict = frame.header.type == FrameType::kStats ? AddStats(frame) : Add(frame);
  if (answer.header.verdict == Verdict::kDuplicate) ++memory_->duplicates;
  if (IsRefusal(answer.header.verdict)) ++memory_->refused;
  hooks_.ack(worker, answer);
  if (was_complete || !Complete()) return;
  memory_->gradient.clear();
  for (const Chunk& chunk : memory_->chunks) {
    for (uint32_t block = chunk.blocks.begin; block < chunk.blocks.end; ++block) {
      const auto sum = chunk.sums.find(block);
      memory_->gradient[block] = sum == chunk.sums.end() ? 0 : sum->second;
    }
  }
  const Fence fence = {memory_->gate.job, memory_->gate.epoch,
                       static_cast<int64_t>(*memory_->gate.step)};
  Run(memory_->core.Handle(GradientComplete{fence}));
}

Verdict SimShard::Add(const ToyFrame& frame) {
  FrameHeader header = frame.header;
  if (mutant_ == Mutant::kNoFencing) header.epoch = memory_->gate.epoch;
  for (Chunk& chunk : memory_->chunks) {
    if (chunk.blocks != header.blocks()) continue;
    const PlaceOrder& place = *memory_->core.place();
    const ChunkState state = {chunk.blocks, place.layout->SpanElements(chunk.blocks),
                              &chunk.leaves};
    Verdict verdict = DecideGradient(memory_->gate, state, header);
    if (mutant_ == Mutant::kNoDedupe &&
        (verdict == Verdict::kDuplicate || verdict == Verdict::kOverlap)) {
      verdict = Verdict::kAdded;
    }
    if (verdict != Verdict::kStored && verdict != Verdict::kAdded) return verdict;
    if (frame.header.epoch != memory_->gate.epoch) {
      hooks_.violation(fmt::format("I6: {} of epoch {} added leaves of epoch {}", name_,
                                   memory_->gate.epoch, frame.header.epoch));
    }
    chunk.leaves.Add(header.leaves());
    for (uint32_t leaf = header.leaf_begin; leaf < header.leaf_end; ++leaf) ++chunk.added[leaf];
    for (const auto& [block, sum] : frame.sums) chunk.sums[block] += sum;
    return verdict;
  }
  return memory_->gate.step ? Verdict::kLayout : Verdict::kStep;
}

Verdict SimShard::AddStats(const ToyFrame& frame) {
  FrameHeader header = frame.header;
  if (mutant_ == Mutant::kNoFencing) header.epoch = memory_->gate.epoch;
  const Verdict verdict = DecideStats(memory_->gate, memory_->stats_leaves, header);
  if (verdict != Verdict::kStored && verdict != Verdict::kAdded) return verdict;
  memory_->stats_leaves.Add(header.leaves());
  memory_->stats.loss += frame.stats.loss;
  memory_->stats.correct += frame.stats.correct;
  memory_->stats.samples += frame.stats.samples;
  return verdict;
}

bool SimShard::Complete() const {
  if (!memory_->gate.step || !memory_->stats_leaves.full()) return false;
  return mutant_ == Mutant::kVoteEarly ||
         std::all_of(memory_->chunks.begin(), memory_->chunks.end(),
                     [](const Chunk& chunk) { return chunk.leaves.full(); });
}

LeafSet SimShard::CompleteLeaves() const {
  LeafSet leaves = memory_->stats_leaves;
  for (const Chunk& chunk : memory_->chunks) leaves.IntersectWith(chunk.leaves);
  return leaves;
}

void SimShard::Pull(const std::string& worker, uint32_t epoch, int64_t version) {
  memory_->pulls[worker] = {epoch, version};
  ServePulls();
}

void SimShard::ServePulls() {
  if (memory_->core.phase() == Shard::Phase::kEmpty ||
      memory_->core.phase() == Shard::Phase::kLoading || memory_->versions.empty()) {
    return;
  }
  for (auto it = memory_->pulls.begin(); it != memory_->pulls.end();) {
    const auto [epoch, version] = it->second;
    const auto held = memory_->versions.find(version);
    if (epoch != memory_->gate.epoch) {
      it = memory_->pulls.erase(it);
    } else if (held != memory_->versions.end()) {
      hooks_.weights(it->first, {memory_->gate.job, version, epoch, held->second});
      it = memory_->pulls.erase(it);
    } else if (version < memory_->versions.rbegin()->first) {
      hooks_.gone(it->first, memory_->gate.job, memory_->versions.rbegin()->first);
      it = memory_->pulls.erase(it);
    } else {
      ++it;
    }
  }
}

// ---- Votes: toy norms from the toy sums, the same whatever the number of shards.

ShardReply SimShard::Prepared(const Fence& fence) const {
  PreparedReply reply;
  reply.fence = fence;
  reply.stats = {memory_->stats.loss, memory_->stats.correct, memory_->stats.samples};
  for (const auto& [block, sum] : memory_->gradient) reply.gradient_squares.push_back(Square(sum));
  for (const Chunk& chunk : memory_->chunks) reply.leaf_chunks += chunk.leaves.count();
  reply.duplicates = memory_->duplicates;
  reply.refused = memory_->refused;
  return reply;
}

ShardReply SimShard::Measured(const Fence& fence) const {
  MeasuredReply reply;
  reply.fence = fence;
  for (const auto& [block, value] : *weights()) reply.weight_squares.push_back(Square(value));
  for (const auto& [block, sum] : memory_->gradient) {
    reply.direction_squares.push_back(Square(Mix({sum, 5})));
  }
  return reply;
}

}  // namespace drover::sim
