#include "tests/bad_input/victim.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/crc32c.h"
#include "common/base/file_system.h"
#include "common/base/mutex.h"
#include "common/base/parse.h"
#include "common/base/thread.h"
#include "common/metrics/registry.h"
#include "common/rpc/channel.h"
#include "common/rpc/frame_header.h"
#include "common/rpc/layout_proto.h"
#include "common/rpc/tensor_stream.h"
#include "proto/drover/v1/job.pb.h"
#include "proto/drover/v1/worker.pb.h"
#include "server/shard/coordinator_session.h"
#include "server/shard/shard_device.h"
#include "server/shard/shard_host.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/data_server.h"
#include "tests/bad_input/frames.h"
#include "tests/bad_input/world.h"
#include "tests/support/random_floats.h"

namespace drover::bad_input {
namespace {

constexpr int64_t kBatch = 64;
constexpr int64_t kLeaves = 4;
constexpr char kWorker[] = "victim";
constexpr Duration kForEver = std::chrono::hours(1);
constexpr Duration kHeartbeatEvery = std::chrono::milliseconds(500);

v1::JobSpec VictimSpec() {
  v1::JobSpec spec;
  spec.set_name("victim");
  spec.mutable_model()->mutable_mlp()->add_hidden(8);
  spec.mutable_dataset()->mutable_synthetic_digits();
  spec.set_batch(kBatch);
  spec.set_leaves(kLeaves);
  spec.set_micro_batch(16);
  spec.set_steps(100'000);
  spec.mutable_optimizer()->mutable_lamb();
  spec.mutable_schedule()->set_peak(0.02);
  return spec;
}

// An order of the coordinator or a frame of the shard.
struct Message {
  bool order;
  std::string bytes;
};

// Reads a stream into a queue until it ends.
class Reader {
 public:
  Reader(Stream* stream, bool order, BoundedQueue<Message>* queue)
      : thread_("victim-read", [=] {
          while (std::optional<std::string> bytes = stream->Read()) {
            queue->Push({order, *std::move(bytes)});
          }
        }) {}
  void Join() { thread_.Join(); }

 private:
  Thread thread_;
};

class VictimShard {
 public:
  VictimShard(World* world, int coordinator_port) : host_(Start(world->NewFolder("shard"))) {
    const auto find = [this](uint64_t job) { return host_->Find(job); };
    server_ = std::make_unique<DataServer>(world, "victim-shard", find, &registry_);
    ShardIdentity identity;
    identity.name = "victim-shard";
    identity.incarnation = 1;
    identity.address = fmt::format("localhost:{}", server_->port());
    session_ = std::make_unique<CoordinatorSession>(
        MakeChannel(fmt::format("localhost:{}", coordinator_port), ChannelKind::kControl,
                    server_->transport().channels()),
        identity, [this] { return host_->Jobs(); });
    session_->Start([this](ShardOrder order) {
      server_->OnOrder(order);
      host_->Post(std::move(order));
    });
  }
  ~VictimShard() {
    session_->Stop();
    host_->Stop();
  }
  const DataServer& server() const { return *server_; }
  std::string Metrics() { return registry_.Render(); }

 private:
  std::unique_ptr<ShardHost> Start(const std::string& folder) {
    ShardRuntimeOptions options;
    options.state_dir = folder;
    options.device = std::make_shared<HostDevice>(1);
    Result<std::unique_ptr<ShardHost>> host =
        ShardHost::Start(FileSystem::Real(), Clock::Real(), options, &registry_,
                         [this](const ShardReply& reply) { session_->Send(reply); });
    EXPECT_TRUE(host.ok()) << host.status().ToString();
    return std::move(host).value();
  }

  MetricRegistry registry_{MetricRole::kShard};
  std::unique_ptr<CoordinatorSession> session_;
  std::unique_ptr<ShardHost> host_;
  std::unique_ptr<DataServer> server_;
};

}  // namespace

std::shared_ptr<const Layout> VictimLayout() {
  return std::make_shared<const Layout>(
      Layout::Make(
          {{"fc.weight", {30, 40}, {InitRule::Kind::kUniform, 0.5f}}, {"fc.bias", {40}, {}}})
          .value());
}

struct Victim::Parts {
  Parts(World* world, ControlServer* coordinator)
      : server(coordinator),
        shard(world, coordinator->port()),
        control(coordinator->As(Role::kWorker, kWorker)),
        data(shard.server().As(kWorker)) {}

  // ---- What the worker says.
  void Say(const v1::WorkerMessage& message) {
    MutexLock lock(&mutex);
    EXPECT_TRUE(session->Write(message.SerializeAsString()));
  }
  void Describe() {
    v1::WorkerMessage message;
    v1::DescribeModel* model = message.mutable_describe();
    model->set_job(job);
    model->set_epoch(epoch);
    *model->mutable_layout() = LayoutToProto(*layout);
    model->set_train_samples(60'000);
    model->set_eval_samples(10'000);
    model->set_train_fingerprint(1);
    model->set_eval_fingerprint(2);
    Say(message);
  }
  void Connect(const std::string& token) {
    const Metadata metadata = {{kWorkerMetadata, kWorker}, {kJobTokenMetadata, token}};
    exchange = data.Open(kExchange, metadata, kForEver);
    frames = std::make_unique<Reader>(exchange.get(), false, &queue);
    FrameHeader hello;
    hello.type = FrameType::kHello;
    exchange->Write(FrameBytes(hello, kWorker));
  }
  void AskForWork() {
    v1::WorkerMessage message;
    message.mutable_work_request()->set_job(job);
    message.mutable_work_request()->set_epoch(epoch);
    message.mutable_work_request()->set_version(version);
    Say(message);
  }
  void Pull(int64_t wanted) {
    exchange->Write(FrameBytes(HeaderFor(FrameType::kPull, wanted, {0, 0}), ""));
  }
  FrameHeader HeaderFor(FrameType type, int64_t at, LeafRange leaves) const {
    FrameHeader header;
    header.type = type;
    header.job = job;
    header.epoch = epoch;
    header.step = static_cast<uint64_t>(at);
    header.layout_hash = layout->hash();
    header.leaf_begin = leaves.begin;
    header.leaf_end = leaves.end;
    return header;
  }
  void PushLeaf(uint32_t leaf) {
    const BlockRange all = layout->all_blocks();
    std::vector<float> gradient(layout->SpanElements(all));
    for (size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] = RandomFloat(static_cast<uint64_t>(version * kLeaves) + leaf, i) - 0.5f;
    }
    FrameHeader header = HeaderFor(FrameType::kGradient, version, {leaf, leaf + 1});
    header.encoding = FrameEncoding::kF32;
    header.block_begin = all.begin;
    header.block_count = all.size();
    exchange->Write(FrameBytes(header, PayloadBytes(gradient)));
    header = HeaderFor(FrameType::kStats, version, {leaf, leaf + 1});
    header.encoding = FrameEncoding::kI64;
    exchange->Write(FrameBytes(header, StatsBytes({7, 3, kBatch / kLeaves, 0})));
    answers_awaited += 2;
  }

  // ---- What it hears. True when something of use has come before `deadline`.
  bool Hear(Instant deadline) {
    std::optional<Message> message = queue.PopFor(deadline - Clock::Real().Now());
    if (!message.has_value()) return false;
    if (message->order) {
      v1::WorkerOrder order;
      EXPECT_TRUE(order.ParseFromString(message->bytes));
      OnOrder(order);
    } else {
      OnFrame(message->bytes);
    }
    return true;
  }
  void OnOrder(const v1::WorkerOrder& order) {
    if (order.has_assignment()) {
      if (order.assignment().spec().name() != "victim") return;
      job = order.assignment().job();
      epoch = order.assignment().epoch();
      if (order.assignment().shards_size() == 0) return Describe();
      version = order.assignment().version();
      if (!placed) Connect(order.assignment().token());
      placed = true;
      if (stepping) AskForWork();
    } else if (order.has_lease()) {
      last_lease = order.lease().lease();
      for (uint32_t leaf = order.lease().leaf_begin(); leaf < order.lease().leaf_end(); ++leaf) {
        PushLeaf(leaf);
      }
    } else if (order.has_pull()) {
      AskForWork();
    }
  }
  void OnFrame(const std::string& bytes) {
    const Result<FrameHeader> header = DecodeFrameHeader(std::as_bytes(std::span(bytes)));
    ASSERT_TRUE(header.ok()) << header.status().ToString();
    if (header.value().type == FrameType::kWeights) {
      weights_version = static_cast<int64_t>(header.value().step);
      checksum = header.value().payload_crc;
      return;
    }
    if (header.value().type != FrameType::kAck || --answers_awaited > 0) return;
    v1::WorkerMessage done;
    done.mutable_lease_done()->set_job(job);
    done.mutable_lease_done()->set_epoch(epoch);
    done.mutable_lease_done()->set_step(version);
    done.mutable_lease_done()->set_lease(last_lease);
    done.mutable_lease_done()->set_seconds(0.001);
    ++reports;
    Say(done);
    AskForWork();
  }

  // Reports of leases that the coordinator has heard: it may have committed the step before.
  double Heard() const {
    double heard = 0;
    std::istringstream lines(server->Metrics());
    for (std::string line; std::getline(lines, line);) {
      const bool ended = line.starts_with("drover_leases_ended_total{") &&
                         line.find("outcome=\"done\"") != std::string::npos;
      const bool refused = line.starts_with("drover_refused_messages_total{") &&
                           line.find("reason=\"lease\"") != std::string::npos;
      if (ended || refused) heard += ParseFloat(line.substr(line.rfind(' ') + 1)).value();
    }
    return heard;
  }

  ControlServer* const server;
  VictimShard shard;
  Client control;
  Client data;
  Mutex mutex;  // Of writes to `session`.
  std::unique_ptr<Stream> session;
  std::unique_ptr<Stream> exchange;
  BoundedQueue<Message> queue{4096};
  std::unique_ptr<Reader> orders;
  std::unique_ptr<Reader> frames;
  BoundedQueue<int> quiet{1};  // Closed at the end.
  Thread heartbeats;

  const std::shared_ptr<const Layout> layout = VictimLayout();
  std::string id;
  uint64_t job = 0;
  uint32_t epoch = 0;
  int64_t version = 0;
  bool placed = false;
  bool stepping = false;
  uint64_t last_lease = 0;
  int answers_awaited = 0;
  int reports = 0;  // In this step.
  int64_t weights_version = -1;
  uint32_t checksum = 0;
};

Victim::Victim(World* world, ControlServer* coordinator)
    : parts_(std::make_unique<Parts>(world, coordinator)) {
  Parts& parts = *parts_;
  v1::CreateJobRequest request;
  *request.mutable_spec() = VictimSpec();
  const Client user = coordinator->As(Role::kSubmitter, "owner");
  const Answer answer = user.Call(kCreateJob, request.SerializeAsString());
  v1::CreateJobResponse response;
  EXPECT_TRUE(answer.status.ok() && response.ParseFromString(answer.bytes))
      << answer.status.ToString();
  parts.id = response.job().id();

  parts.session = parts.control.Open(kWorkerSession, {}, kForEver);
  parts.orders = std::make_unique<Reader>(parts.session.get(), true, &parts.queue);
  v1::WorkerMessage hello;
  hello.mutable_register_()->set_name(kWorker);
  hello.mutable_register_()->set_incarnation(1);
  hello.mutable_register_()->set_numeric_class("test");
  hello.mutable_register_()->set_lanes(4);
  parts.Say(hello);
  parts.heartbeats = Thread("victim-beat", [&parts] {
    v1::WorkerMessage heartbeat;
    heartbeat.mutable_heartbeat();
    while (!parts.quiet.closed()) {
      parts.quiet.PopFor(kHeartbeatEvery);
      if (!parts.quiet.closed()) parts.Say(heartbeat);
    }
  });
  const Instant deadline = Clock::Real().Now() + kPatience;
  while (!parts.placed && parts.Hear(deadline)) continue;
  EXPECT_TRUE(parts.placed) << "the victim's job does not start";
}

Victim::~Victim() {
  parts_->quiet.Close();
  parts_->heartbeats.Join();
  parts_->session->Cancel();
  parts_->orders->Join();
  if (parts_->exchange == nullptr) return;
  parts_->exchange->Cancel();
  parts_->frames->Join();
}

uint32_t Victim::Step() {
  Parts& parts = *parts_;
  const Instant deadline = Clock::Real().Now() + kPatience;
  const double heard = parts.Heard();
  parts.reports = 0;
  parts.stepping = true;
  parts.Pull(parts.version + 1);
  parts.AskForWork();
  const int64_t wanted = parts.version + 1;
  while (parts.weights_version != wanted && parts.Hear(deadline)) continue;
  parts.stepping = false;
  if (parts.weights_version != wanted) return 0;
  while (parts.Heard() < heard + parts.reports && Clock::Real().Now() < deadline) {
    SleepFor(std::chrono::milliseconds(1));
  }
  parts.version = wanted;
  return parts.checksum;
}

uint64_t Victim::job() const { return parts_->job; }
uint32_t Victim::epoch() const { return parts_->epoch; }
int64_t Victim::step() const { return parts_->version; }
uint64_t Victim::layout_hash() const { return parts_->layout->hash(); }
std::string Victim::id() const { return parts_->id; }
uint64_t Victim::last_lease() const { return parts_->last_lease; }
int Victim::shard_port() const { return parts_->shard.server().port(); }
std::string Victim::Metrics() const { return parts_->shard.Metrics(); }

}  // namespace drover::bad_input
