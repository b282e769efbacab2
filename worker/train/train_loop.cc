#include "worker/train/train_loop.h"

#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "worker/nn/model_flops.h"
#include "worker/train/timed_reduce.h"
#include "worker/train/worker_messages.h"

namespace drover {
namespace {

// Orders that may wait while a model is built; then the stream to the coordinator does.
constexpr size_t kEventsMax = 64;
constexpr Duration kTick = std::chrono::milliseconds(500);
// An unanswered request for work is repeated: the coordinator may have been busy or away.
constexpr Duration kAskAgain = std::chrono::seconds(4);
constexpr int64_t kTimeoutMsMax = 3'600'000;  // An hour; more is a mistake of the coordinator.

// Weights go on to the GPUs as they arrive.
std::optional<WeightsInbox::Listener> ListenerOf(
    const std::vector<std::shared_ptr<WeightsInlet>>& inlets) {
  if (inlets.empty()) return std::nullopt;
  WeightsInbox::Listener listener;
  listener.on_expect = [inlets](int64_t version) {
    for (const auto& inlet : inlets) inlet->Begin(version);
  };
  listener.on_chunk = [inlets](int64_t version, const ElementRange& elements, bool is_bf16,
                               const void* values) {
    for (const auto& inlet : inlets) inlet->Arrived(version, {elements, is_bf16, values});
  };
  return listener;
}

}  // namespace

TrainLoop::TrainLoop(Options options)
    : options_(std::move(options)), events_(kEventsMax), idle_since_(Clock::Real().Now()) {}

TrainLoop::~TrainLoop() { DropJob(); }

void TrainLoop::OnOrder(v1::WorkerOrder order) { events_.Push(std::move(order)); }

// A full queue wakes Run as well.
void TrainLoop::Wake() { (void)events_.TryPush(std::nullopt); }

void TrainLoop::Leave() {
  leave_asked_.store(true);
  Wake();
}

void TrainLoop::Run() {
  while (!left_) {
    const std::optional<std::optional<v1::WorkerOrder>> event = events_.PopFor(kTick);
    if (event && *event) HandleOrder(**event);
    FinishLease();
    FinishEvaluation();
    TakeWeights();
    GiveUpOnForeignShards();
    AskAgain();
    LeaveWhenIdle();
  }
  events_.Close();  // Whoever waits for room would wait for ever.
  DropJob();
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
      if (FenceHolds(order.pull().job(), order.pull().epoch())) Follow(order.pull().version());
      return;
    case v1::WorkerOrder::kUnassign:
      if (assignment_ && order.unassign().job() == assignment_->job()) DropJob();
      return;
    case v1::WorkerOrder::kRenewToken:
      if (FenceHolds(order.renew_token().job(), order.renew_token().epoch())) {
        RenewToken(order.renew_token().token());
      }
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
  const bool same_job = assignment_ && assignment_->job() == assignment.job();
  const bool same_shards = same_job && assignment_->epoch() == assignment.epoch() &&
                           assignment_->shards_size() == assignment.shards_size();
  if (!same_job) {
    const Status opened = OpenJob(assignment);
    if (!opened.ok()) return Refuse(assignment, opened.message());
  }
  assignment_ = assignment;
  options_.send(DescribeMessage(assignment, *layout_, setup_, device_));
  if (same_shards) {  // Sent again because this worker was not heard.
    RenewToken(assignment.token());
    Follow(assignment.version());
    if (!working()) AskForWork();
    return;
  }
  Disconnect();
  if (assignment.shards_size() == 0) return;  // They are still loading.
  const Status connected = Connect();
  if (!connected.ok()) return Refuse(assignment, connected.message());
  // The weights of a version are the same whatever the epoch, so what is held stays good.
  if (weights_ != nullptr && weights_->version == assignment.version()) {
    AskForWork();
    shards_->Pull(assignment.version() + 1);
  } else {
    shards_->Pull(assignment.version());
  }
}

Status TrainLoop::OpenJob(const v1::Assignment& assignment) {
  DropJob();
  const LogPlace place = {.job = assignment.job()};
  LogInfo(place, "epoch={} building the model and opening the data", assignment.epoch());
  Result<JobSetup> setup = options_.set_up(assignment.spec());
  if (!setup.ok()) return setup.status();
  setup_ = std::move(setup).value();
  Result<ComputeDevice> device = options_.choose_device(assignment.spec());
  if (!device.ok()) return device.status();
  device_ = std::move(device).value();
  LogInfo(place, "computing on {}, {} lanes, class \"{}\"", device_.name, device_.lanes.size(),
          device_.numeric_class);
  if (device_.memory_report) LogInfo(place, "{}", device_.memory_report(setup_));
  Result<std::unique_ptr<LanePool>> lanes = LanePool::Make(setup_, device_.lanes);
  if (!lanes.ok()) return lanes.status();
  lanes_ = std::move(lanes).value();
  layout_ = std::make_shared<const Layout>(lanes_->layout());
  weights_pool_ = MakeWeightsPool(*layout_, device_.host_memory);
  floats_ = MakeBufferPool<float>(*layout_, device_.host_memory);
  sums_ = MakeBufferPool<int64_t>(*layout_, device_.host_memory);
  OpenReduce();
  options_.metrics->SetJob(assignment.job(), static_cast<uint32_t>(device_.lanes.size()));
  const std::string& of = device_.numeric_class;  // "cuda NVIDIA H100 ...": the kind comes first.
  options_.metrics->SetDevice(of.substr(0, of.find(' ')), device_.peak_flops, device_.read_memory);
  idle_since_ = Clock::Real().Now();
  return Status();
}

void TrainLoop::OpenReduce() {
  if (!device_.make_reduce) return;
  Result<std::shared_ptr<HostReduce>> reduce = device_.make_reduce(*layout_);
  if (!reduce.ok()) {
    LogInfo("adding up {} GPUs on the host, because {}", device_.lanes.size(),
            reduce.status().message());
    return;
  }
  LogInfo("adding up {} GPUs by a reduce-scatter among them", device_.lanes.size());
  reduce_ = std::make_shared<TimedReduce>(std::move(reduce).value(), options_.metrics);
  if (device_.make_shared_inlet) {
    device_.inlets = {
        device_.make_shared_inlet(reduce_, layout_->SpanElements(layout_->all_blocks()))};
  }
}

Status TrainLoop::Connect() {
  ShardSet::Options options;
  options.worker = options_.name;
  options.security = options_.security;
  options.token = assignment_->token();
  options.job = assignment_->job();
  options.epoch = assignment_->epoch();
  options.layout = layout_;
  for (const v1::ShardAddress& shard : assignment_->shards()) {
    options.shards.push_back(
        {shard.name(), shard.address(), {shard.block_begin(), shard.block_end()}});
  }
  options.pool = weights_pool_;
  options.on_weights = ListenerOf(device_.inlets);
  options.on_change = [this] { Wake(); };
  WorkerMetrics* metrics = options_.metrics;
  options.on_sent = [metrics](const FrameHeader& header) { metrics->CountSent(header); };
  options.on_received = [metrics](const FrameHeader& header) { metrics->CountReceived(header); };
  options.on_retry = [metrics] { metrics->CountLinkRetry(); };
  Result<std::shared_ptr<ShardSet>> shards = ShardSet::Connect(std::move(options));
  if (!shards.ok()) return shards.status();
  shards_ = std::move(shards).value();
  lease_context_ = {
      /*leaf_samples=*/0,  // Of the step of the lease.
      setup_.fraction_bits,
      layout_,
      shards_->chunks(),
      shards_->NewHeader(FrameType::kGradient),
      [shards = shards_](size_t part, const FrameHeader& header, grpc::ByteBuffer frame) {
        shards->Push(part, header, std::move(frame));
      },
      floats_,
      sums_,
      reduce_,
      [this] { Wake(); },
      metrics};
  return Status();
}

void TrainLoop::RenewToken(const std::string& token) {
  if (shards_ != nullptr) shards_->SetToken(token);
}

void TrainLoop::Disconnect() {
  DropWork();
  asked_.reset();
  if (shards_ != nullptr) shards_->Close();  // A lane may still hold it and push in vain.
  lease_context_ = {};
  shards_.reset();
}

void TrainLoop::DropJob() {
  Disconnect();
  lanes_.reset();  // Waits for them.
  weights_.reset();
  options_.metrics->ClearJob();
  weights_pool_.reset();
  floats_.reset();
  sums_.reset();
  reduce_.reset();
  layout_.reset();
  assignment_.reset();
  device_ = {};
  setup_ = {};
}

// The job must go on without this worker.
void TrainLoop::Refuse(const v1::Assignment& assignment, const std::string& why) {
  LogError({.job = assignment.job()}, "cannot be served: {}", why);
  options_.send(CannotServeMessage(assignment, why));
  DropJob();
}

// ---- Weights.

// The coordinator is at `version`. It may have said so while that was on its way here, and pulling
// it again would throw away the work that has begun with it.
void TrainLoop::Follow(int64_t version) {
  if (shards_ == nullptr) return;
  const bool held = weights_ != nullptr && weights_->version == version;
  if (!held && shards_->inbox().expected() != version) shards_->Pull(version);
}

void TrainLoop::TakeWeights() {
  if (shards_ == nullptr) return;
  if (const std::optional<int64_t> newer = shards_->inbox().newer()) shards_->Pull(*newer);
  Duration duration(0);
  std::shared_ptr<const Weights> arrived = shards_->inbox().Take(&duration);
  if (arrived == nullptr) return;
  options_.metrics->ObservePull(duration);
  weights_ = std::move(arrived);
  DropWork();  // Version t+1 exists, so step t is closed: what is open of it is of no use any more.
  for (const auto& inlet : device_.inlets) inlet->Complete(weights_->version);
  AskForWork();
  shards_->Pull(weights_->version + 1);
}

// Pulled again it would be the same, for ever.
void TrainLoop::GiveUpOnForeignShards() {
  if (shards_ == nullptr) return;
  const std::string why = shards_->foreign();
  if (!why.empty()) Refuse(v1::Assignment(*assignment_), why);
}

// ---- Work.

void TrainLoop::AskForWork() {
  if (leaving_ || shards_ == nullptr || weights_ == nullptr) return;
  options_.send(WorkRequestMessage(*assignment_, weights_->version));
  asked_ = Clock::Real().Now();
}

void TrainLoop::AskAgain() {
  if (asked_ && Clock::Real().Now() - *asked_ > kAskAgain) AskForWork();
}

// Not, when the order is of a step that is over or was crossed by another one: it will be leased
// again.
bool TrainLoop::MayWorkOn(int64_t version) const {
  return !working() && !leaving_ && shards_ != nullptr && weights_ != nullptr &&
         weights_->version == version;
}

void TrainLoop::StartLease(const v1::Lease& order) {
  if (!FenceHolds(order.job(), order.epoch()) || !MayWorkOn(order.step()) ||
      order.leaf_begin() >= order.leaf_end() ||
      order.leaf_end() > setup_.PhaseAt(order.step()).leaves) {
    return;
  }
  const JobPhase& phase = setup_.PhaseAt(order.step());
  lease_context_.leaf_samples = phase.leaf_samples();
  lease_context_.sample_flops = TrainingFlops(setup_.NetworkOf(phase));
  WorkBegins(order.timeout_ms());
  const LeaseRun::Order lease = {
      order.lease(), order.step(), {order.leaf_begin(), order.leaf_end()}};
  lease_ = std::make_shared<LeaseRun>(lease, lease_context_, weights_);
  shards_->BeginPushes(lease_);
  lanes_->Start(lease_);
}

void TrainLoop::StartEvaluation(const v1::EvalLease& order) {
  if (!FenceHolds(order.job(), order.epoch()) || !MayWorkOn(order.version()) ||
      order.sample_begin() < 0 || order.sample_begin() >= order.sample_end() ||
      order.sample_end() > static_cast<int64_t>(setup_.test->size())) {
    return;
  }
  WorkBegins(order.timeout_ms());
  evaluation_ = std::make_shared<EvalRun>(order, setup_.PhaseAt(order.version()).micro_batch,
                                          weights_, [this] { Wake(); });
  lanes_->Start(evaluation_);
}

void TrainLoop::WorkBegins(int64_t timeout_ms) {
  const Instant now = Clock::Real().Now();
  asked_.reset();
  work_deadline_ =
      now + std::chrono::milliseconds(std::clamp(timeout_ms, int64_t{0}, kTimeoutMsMax));
  options_.metrics->ObserveIdle(now - idle_since_);
}

void TrainLoop::FinishLease() {
  if (lease_ == nullptr) return;
  switch (lease_->outcome()) {
    case LeaseRun::Outcome::kOpen:
      return;
    case LeaseRun::Outcome::kDone:
      options_.metrics->ObservePush(lease_->push_duration());
      options_.send(LeaseDoneMessage(*assignment_, *lease_));
      break;
    case LeaseRun::Outcome::kVoid:
      break;
    case LeaseRun::Outcome::kFailed:
      LogWarning({.job = assignment_->job(), .step = lease_->order().step}, "leaf={} tensor={}: {}",
                 lease_->failure().leaf, lease_->failure().tensor, lease_->failure().what);
      options_.send(LeaseFailedMessage(*assignment_, *lease_));
      break;
    case LeaseRun::Outcome::kBroken:
      return Refuse(v1::Assignment(*assignment_), lease_->failure().what);
  }
  DropWork();
  AskForWork();
}

void TrainLoop::FinishEvaluation() {
  if (evaluation_ == nullptr) return;
  if (const std::string why = evaluation_->broken(); !why.empty()) {
    return Refuse(v1::Assignment(*assignment_), "evaluation: " + why);
  }
  if (!evaluation_->done()) return;
  options_.send(EvalDoneMessage(evaluation_->order(), evaluation_->total()));
  DropWork();
  AskForWork();
}

void TrainLoop::DropWork() {
  if (!working()) return;
  if (lease_ != nullptr) lease_->Cancel();
  if (evaluation_ != nullptr) evaluation_->Cancel();
  if (shards_ != nullptr) shards_->EndPushes();
  lease_.reset();
  evaluation_.reset();
  idle_since_ = Clock::Real().Now();
}

// Leaves that lanes are at are finished and pushed; others get the rest at once, and the pieces of
// an evaluation, of which nothing would be kept, when the stream ends.
void TrainLoop::GiveWorkBack() {
  if (evaluation_ != nullptr) return DropWork();
  if (lease_ == nullptr) return;
  const std::optional<uint32_t> leaf_begin = lease_->GiveBack();
  if (!leaf_begin) return;
  LogInfo({.job = assignment_->job(), .step = lease_->order().step},
          "leaving: leaves [{}, {}) go back to the coordinator", *leaf_begin,
          lease_->order().leaves.end);
  options_.send(LeaseReturnedMessage(*assignment_, lease_->order(), *leaf_begin));
}

void TrainLoop::LeaveWhenIdle() {
  if (!leave_asked_.load()) return;
  if (!leaving_) {
    leaving_ = true;
    options_.send(LeavingMessage());
    GiveWorkBack();
  }
  left_ = !working() || Clock::Real().Now() > work_deadline_;
}

}  // namespace drover
