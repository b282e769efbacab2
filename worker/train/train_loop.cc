#include "worker/train/train_loop.h"

#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "common/rpc/layout_proto.h"
#include "worker/train/worker_metrics.h"

namespace drover {
namespace {

constexpr size_t kEventsMax = 65536;
constexpr Duration kTick = std::chrono::milliseconds(500);
// An unanswered request for work is repeated: the coordinator may have been busy or away.
constexpr Duration kAskAgain = std::chrono::seconds(4);

}  // namespace

TrainLoop::TrainLoop(Options options) : options_(std::move(options)), events_(kEventsMax) {}

TrainLoop::~TrainLoop() { DropJob(); }

void TrainLoop::OnOrder(v1::WorkerOrder order) { events_.Push(std::move(order)); }
void TrainLoop::OnDisconnected() { events_.Push(Disconnected{}); }
void TrainLoop::Leave() { events_.Push(LeaveNow{}); }

void TrainLoop::Run() {
  while (!left_) {
    if (std::optional<Event> event = events_.PopFor(kTick)) {
      Handle(std::move(*event));
    }
    Tick();
  }
  DropJob();
}

void TrainLoop::Handle(Event event) {
  if (const auto* order = std::get_if<v1::WorkerOrder>(&event)) {
    HandleOrder(*order);
  } else if (const auto* ack = std::get_if<LinkAck>(&event)) {
    if (ack->generation == generation_) OnAck(ack->ack);
  } else if (const auto* complete = std::get_if<WeightsComplete>(&event)) {
    if (complete->generation == generation_) OnWeightsComplete();
  } else if (const auto* gone = std::get_if<VersionGone>(&event)) {
    if (gone->generation == generation_) OnVersionGone(gone->current);
  } else if (std::holds_alternative<LanesIdle>(event)) {
    OnLanesIdle();
  } else if (std::holds_alternative<LeaveNow>(event)) {
    v1::WorkerMessage message;
    message.mutable_leaving();
    options_.send(std::move(message));
    leaving_ = true;
  }
  // Disconnected: the coordinator assigns again when it is back; until then work goes on.
}

void TrainLoop::HandleOrder(const v1::WorkerOrder& order) {
  switch (order.kind_case()) {
    case v1::WorkerOrder::kAssignment:
      return Assign(order.assignment());
    case v1::WorkerOrder::kLease:
      return StartLease(order.lease());
    case v1::WorkerOrder::kEvalLease:
      return StartEvaluation(order.eval_lease());
    case v1::WorkerOrder::kPull:
      // May cross the arrival of that very version; pulling it again would void the lease for it.
      if (weights_ != nullptr && order.pull().version() == weights_->version) return;
      if (FenceHolds(order.pull().job(), order.pull().epoch())) OnPullOrder(order.pull().version());
      return;
    case v1::WorkerOrder::kUnassign:
      if (assignment_ && order.unassign().job() == assignment_->job()) DropJob();
      return;
    case v1::WorkerOrder::KIND_NOT_SET:
      LogWarning("the coordinator sent an order that this build does not know");
      return;
  }
}

bool TrainLoop::FenceHolds(uint64_t job, uint32_t epoch) const {
  return assignment_ && assignment_->job() == job && assignment_->epoch() == epoch;
}

// ---- The job and its shards.

void TrainLoop::Assign(const v1::Assignment& assignment) {
  if (!assignment_ || assignment_->job() != assignment.job() || lanes_ == nullptr) {
    DropJob();
    LogInfo("job={:016x} epoch={} building the model and opening the data", assignment.job(),
            assignment.epoch());
    Result<JobSetup> setup = SetUpJob(assignment.spec());
    if (!setup.ok()) return Describe(assignment, setup.status().message());
    setup_ = std::move(setup).value();
    Result<std::unique_ptr<LanePool>> lanes =
        LanePool::Make(setup_, options_.lanes, [this] { events_.Push(LanesIdle{}); });
    if (!lanes.ok()) return Describe(assignment, lanes.status().message());
    lanes_ = std::move(lanes).value();
    if (options_.metrics != nullptr) options_.metrics->SetJob(assignment.job());
    layout_ = std::make_shared<const Layout>(lanes_->layout());
  }
  // Sent again because this worker was not heard: nothing has changed.
  const bool repeated = assignment_ && assignment_->epoch() == assignment.epoch() &&
                        assignment_->shards_size() == assignment.shards_size();
  Describe(assignment, "");
  if (repeated) return;
  assignment_ = assignment;
  if (assignment.shards_size() > 0) {
    Connect(assignment);
  } else {
    Disconnect();  // From the shards of an older epoch; the new ones are still loading.
  }
}

void TrainLoop::Describe(const v1::Assignment& assignment, const std::string& error) {
  v1::WorkerMessage message;
  v1::DescribeModel* describe = message.mutable_describe();
  describe->set_job(assignment.job());
  describe->set_epoch(assignment.epoch());
  describe->set_error(error);
  if (error.empty()) {
    *describe->mutable_layout() = LayoutToProto(*layout_);
    describe->set_train_samples(static_cast<int64_t>(setup_.train->size()));
    describe->set_eval_samples(static_cast<int64_t>(setup_.test->size()));
  } else {
    LogError("job={:016x} cannot be served: {}", assignment.job(), error);
  }
  options_.send(std::move(message));
}

void TrainLoop::Connect(const v1::Assignment& assignment) {
  Disconnect();
  std::vector<BlockRange> parts;
  for (const v1::ShardAddress& shard : assignment.shards()) {
    parts.push_back({shard.block_begin(), shard.block_end()});
    if (shard.block_end() > layout_->block_count() || shard.block_begin() > shard.block_end()) {
      LogError("the assignment gives shard/{} blocks that the model does not have", shard.name());
      return;
    }
  }
  chunks_ = std::make_shared<const ChunkMap>(*layout_, parts);
  inbox_ = std::make_unique<WeightsInbox>(layout_, parts);
  const uint64_t generation = generation_;
  for (int i = 0; i < assignment.shards_size(); ++i) {
    const v1::ShardAddress& shard = assignment.shards(i);
    ShardLink::Options link;
    link.address = shard.address();
    link.shard = shard.name();
    link.worker = options_.name;
    link.job = assignment.job();
    link.epoch = assignment.epoch();
    link.layout_hash = layout_->hash();
    link.on_ack = [this, generation](const FrameHeader& ack) {
      events_.Push(LinkAck{generation, ack});
    };
    link.on_weights = [this, generation, i, name = shard.name()](const ReceivedFrame& frame) {
      const WeightsInbox::Arrival arrival = inbox_->Receive(static_cast<size_t>(i), frame);
      if (arrival == WeightsInbox::Arrival::kDamaged) {
        LogError("shard/{} sent damaged weights of version {}", name, frame.header().step);
      }
      if (arrival == WeightsInbox::Arrival::kComplete) events_.Push(WeightsComplete{generation});
      return arrival == WeightsInbox::Arrival::kPartComplete ||
             arrival == WeightsInbox::Arrival::kComplete;
    };
    link.on_gone = [this, generation](int64_t current) {
      events_.Push(VersionGone{generation, current});
    };
    links_.push_back(std::make_unique<ShardLink>(std::move(link)));
  }
  // The weights of a version are the same whatever the epoch, so what is held stays good.
  if (weights_ != nullptr && weights_->version == assignment.version()) {
    AskForWork();
    Pull(assignment.version() + 1);
  } else {
    Pull(assignment.version());
  }
}

void TrainLoop::Disconnect() {
  ++generation_;
  waiting_ = false;
  if (lease_ != nullptr) lease_->Cancel();
  lease_.reset();
  evaluation_.reset();
  links_.clear();
  inbox_.reset();
  chunks_.reset();
}

void TrainLoop::DropJob() {
  Disconnect();
  lanes_.reset();
  weights_.reset();
  layout_.reset();
  assignment_.reset();
  setup_ = {};
  if (options_.metrics != nullptr) options_.metrics->ClearJob();
}

// ---- Weights.

void TrainLoop::Pull(int64_t version) {
  if (inbox_ == nullptr) return;
  inbox_->Expect(assignment_->epoch(), version);
  for (auto& link : links_) link->Pull(version);
}

// The order may have crossed the very weights it asks for: pulling them again would throw away the
// work that has begun with them.
void TrainLoop::OnPullOrder(int64_t version) {
  const bool held = weights_ != nullptr && weights_->version == version;
  const bool coming = inbox_ != nullptr && inbox_->expected() == version;
  if (!held && !coming) Pull(version);
}

void TrainLoop::OnWeightsComplete() {
  std::shared_ptr<const Weights> arrived = inbox_->Take();
  if (arrived == nullptr) return;  // Another version is expected by now.
  weights_ = std::move(arrived);
  if (options_.metrics != nullptr) options_.metrics->CountWeights(weights_->values.size());
  // Version t+1 exists, so step t is closed: an open lease of it is of no use any more.
  if (lease_ != nullptr) lease_->Cancel();
  lease_.reset();
  evaluation_.reset();
  for (auto& link : links_) link->ForgetPushes();
  AskForWork();
  Pull(weights_->version + 1);
}

void TrainLoop::OnVersionGone(int64_t current) {
  const std::optional<int64_t> expected = inbox_->expected();
  if (expected && current > *expected) Pull(current);
}

void TrainLoop::AskForWork() {
  if (leaving_ || weights_ == nullptr) return;
  v1::WorkerMessage message;
  v1::WorkRequest* request = message.mutable_work_request();
  request->set_job(assignment_->job());
  request->set_epoch(assignment_->epoch());
  request->set_version(weights_->version);
  options_.send(std::move(message));
  waiting_ = true;
  asked_ = Clock::Real().Now();
}

// ---- Work.

void TrainLoop::StartLease(const v1::Lease& order) {
  if (!FenceHolds(order.job(), order.epoch()) || weights_ == nullptr || lease_ != nullptr ||
      evaluation_ != nullptr || order.step() != weights_->version ||
      order.leaf_begin() >= order.leaf_end() || order.leaf_end() > setup_.leaves) {
    return;  // Of a step that is over, or crossed by another order: it will be leased again.
  }
  StopWaiting();
  computed_.reset();
  std::vector<ShardLink*> links;
  for (auto& link : links_) links.push_back(link.get());
  lease_ = std::make_shared<LeaseRun>(
      LeaseRun::Order{order.lease(), order.step(), {order.leaf_begin(), order.leaf_end()}}, setup_,
      layout_, chunks_, std::move(links), weights_, Clock::Real().Now());
  lanes_->Start(lease_);
}

void TrainLoop::StartEvaluation(const v1::EvalLease& order) {
  if (!FenceHolds(order.job(), order.epoch()) || weights_ == nullptr || lease_ != nullptr ||
      evaluation_ != nullptr || order.version() != weights_->version || order.sample_begin() < 0 ||
      order.sample_end() > static_cast<int64_t>(setup_.test->size())) {
    return;
  }
  StopWaiting();
  eval_lease_ = order;
  evaluation_ = std::make_shared<EvalRun>(order.sample_begin(), order.sample_end(),
                                          setup_.micro_batch, weights_);
  lanes_->Start(evaluation_);
}

void TrainLoop::StopWaiting() {
  if (waiting_ && options_.metrics != nullptr) {
    options_.metrics->ObserveIdle(Clock::Real().Now() - asked_);
  }
  waiting_ = false;
}

void TrainLoop::OnAck(const FrameHeader& ack) {
  if (lease_ == nullptr) return;
  lease_->OnAck(ack);
  CheckLease();
}

void TrainLoop::CheckLease() {
  if (lease_ == nullptr) return;
  const LeaseRun::Outcome outcome = lease_->outcome();
  if (outcome == LeaseRun::Outcome::kOpen) return;
  const std::shared_ptr<LeaseRun> ended = std::exchange(lease_, nullptr);
  v1::WorkerMessage message;
  if (outcome == LeaseRun::Outcome::kDone) {
    const double seconds = Seconds(Clock::Real().Now() - ended->started());
    v1::LeaseDone* done = message.mutable_lease_done();
    done->set_job(assignment_->job());
    done->set_epoch(assignment_->epoch());
    done->set_step(ended->order().step);
    done->set_lease(ended->order().lease);
    done->set_seconds(seconds);
    if (options_.metrics != nullptr) {
      const uint32_t leaves = ended->order().leaves.size();
      options_.metrics->CountLease(leaves * setup_.leaf_samples(),
                                   layout_->SpanElements(layout_->all_blocks()), leaves == 1);
      options_.metrics->ObservePush(computed_ ? Clock::Real().Now() - *computed_ : Duration(0));
    }
  } else if (outcome == LeaseRun::Outcome::kFailed) {
    const LeaseRun::Failure failure = ended->failure();
    v1::LeaseFailed* failed = message.mutable_lease_failed();
    failed->set_job(assignment_->job());
    failed->set_epoch(assignment_->epoch());
    failed->set_step(ended->order().step);
    failed->set_lease(ended->order().lease);
    failed->set_leaf(failure.leaf);
    failed->set_tensor(failure.tensor);
    failed->set_what(failure.what);
    LogWarning("step={} leaf={}: {} in {}", ended->order().step, failure.leaf, failure.what,
               failure.tensor);
  }
  for (auto& link : links_) link->ForgetPushes();
  if (message.kind_case() != v1::WorkerMessage::KIND_NOT_SET) options_.send(std::move(message));
  AskForWork();
}

void TrainLoop::OnLanesIdle() {
  if (lease_ != nullptr) computed_ = Clock::Real().Now();
  CheckLease();  // A failed leaf ends the lease without an acknowledgement.
  if (evaluation_ == nullptr) return;
  const StepStats total = evaluation_->total();
  // The lanes may have run out of an older task: this one is done when its samples are counted.
  if (total.samples < eval_lease_.sample_end() - eval_lease_.sample_begin()) return;
  evaluation_.reset();
  v1::WorkerMessage message;
  v1::EvalDone* done = message.mutable_eval_done();
  done->set_job(eval_lease_.job());
  done->set_epoch(eval_lease_.epoch());
  done->set_version(eval_lease_.version());
  done->set_lease(eval_lease_.lease());
  done->set_loss_fixed(total.loss);
  done->set_correct(total.correct);
  done->set_samples(total.samples);
  options_.send(std::move(message));
  AskForWork();
}

void TrainLoop::Tick() {
  if (leaving_ && lease_ == nullptr && evaluation_ == nullptr) left_ = true;
  if (waiting_ && Clock::Real().Now() - asked_ > kAskAgain) AskForWork();
}

}  // namespace drover
