#include "tests/sim/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/rpc/channel.h"
#include "server/optim/settings.h"

namespace drover::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kFirstJob = 42;
constexpr Duration kTick = milliseconds(100);
constexpr Duration kTimeMax = seconds(600);
constexpr Duration kSilenceTimeout = milliseconds(kHeartbeatTimeoutMs);

// Two phases of another batch and other leaves. In the first one the rate falls when an evaluation
// is no better than the one before, as all after the first are: at version 4, between two
// checkpoints. In the second the updates count from 1 again.
JobPlan ToyPlan(const HistoryOptions& options, uint32_t index) {
  JobPlan plan;
  plan.name = "toy";
  PhasePlan first;
  first.steps = 5;
  first.batch = 64;
  first.leaves = 8;
  first.micro_batch = 4;
  first.schedule.peak = 0.01;
  first.schedule.decay = Decay::kPlateau;
  first.schedule.plateau.patience = 0;
  PhasePlan second;
  second.first_step = 5;
  second.steps = 3;
  second.batch = 48;
  second.leaves = 6;
  second.micro_batch = 4;
  second.schedule.peak = 0.005;
  second.schedule.warmup_steps = 2;
  second.restart_updates = true;
  plan.phases = {first, second};
  plan.steps = 8;
  plan.seed = options.job_seed + index;
  plan.max_workers = index + 1 < options.jobs ? options.max_workers : 0;
  plan.fraction_bits = 40;
  if (options.lookahead) {
    plan.optimizer = DefaultSettings(options.trust_ratio ? Rule::kLars : Rule::kAmsGrad);
    plan.optimizer.lookahead_every = 3;
  } else if (options.trust_ratio) {
    plan.optimizer = LambPreset("tfa").value();
  } else {
    plan.optimizer = DefaultSettings(Rule::kAdamW);
  }
  plan.optimizer.max_grad_norm = 1.0;
  plan.checkpoint_every_steps = 3;
  plan.evaluation_every_steps = 2;
  return plan;
}

// Forty blocks in six tensors: several chunks per shard, tensors that span shards.
std::shared_ptr<const Layout> ToyLayout() {
  std::vector<TensorSpec> tensors = {
      {"a/weight", {15, kBlockElements}, {}}, {"a/bias", {700}, {}},
      {"b/weight", {12, kBlockElements}, {}}, {"b/bias", {9}, {}},
      {"c/weight", {10, kBlockElements}, {}}, {"c/bias", {kBlockElements + 1}, {}},
  };
  return std::make_shared<const Layout>(Layout::Make(std::move(tensors)).value());
}

class Cluster {
 public:
  explicit Cluster(const HistoryOptions& options)
      : options_(options), clock_(options.seed), faults_(options.faults), layout_(ToyLayout()) {
    for (uint32_t i = 0; i < options.jobs; ++i) {
      JobRecord& record = stores_[kFirstJob + i];
      record.id = kFirstJob + i;
      record.order = i;
      record.plan = plans_[record.id] = ToyPlan(options, i);
      record.name = record.plan.name;
    }
    for (uint32_t i = 0; i < options.shards; ++i) AddShard(fmt::format("shard-{}", i));
    for (uint32_t i = 0; i < options.workers; ++i) AddWorker(fmt::format("worker-{}", i));
    StartCoordinator(/*restored=*/false);
    Tick();
    if (faults_.crash_coordinator + faults_.crash_shard + faults_.crash_worker +
            faults_.break_stream + faults_.freeze_worker + faults_.freeze_shard >
        0) {
      Trouble();
    }
  }

  HistoryResult Run() {
    while (clock_.now().since_origin < kTimeMax && !AllHaveEnded()) {
      if (clock_.now().since_origin > options_.faults_last) faults_ = {};
      if (!clock_.Step()) break;
      for (const auto& [id, store] : stores_) CheckVersions(store);
    }
    HistoryResult result;
    result.violations = violations_;
    result.side_by_side = side_by_side_;
    result.crashes = crashes_;
    result.shard_freezes = freezes_;
    result.seconds = Seconds(clock_.now().since_origin);
    for (const auto& worker : workers_) result.leaves_computed += worker->leaves_computed();
    for (const auto& [id, store] : stores_) {
      const uint64_t digest =
          store.checkpoints.empty() ? 0 : DigestOf(storage_.at(store.checkpoints.back().path));
      result.jobs.push_back({store.state, store.message, digest, store});
    }
    return result;
  }

 private:
  bool AllHaveEnded() const {
    return std::all_of(stores_.begin(), stores_.end(),
                       [](const auto& store) { return HasEnded(store.second.state); });
  }

  // ---- Nodes.
  // All jobs of one process: they crash, freeze and join together.
  struct ShardProcess {
    std::string name;
    std::map<uint64_t, std::unique_ptr<SimShard>> jobs;
    SimShard& first() const { return *jobs.begin()->second; }
    uint64_t incarnation() const { return first().incarnation(); }
    Instant frozen_until() const { return first().frozen_until(); }
  };

  void AddShard(const std::string& name) {
    ShardProcess& process = shards_.emplace_back();
    process.name = name;
    for (const auto& [id, store] : stores_) process.jobs[id] = MakeShard(name);
  }

  std::unique_ptr<SimShard> MakeShard(const std::string& name) {
    SimShard::Hooks hooks;
    hooks.reply = [this, name](const ShardReply& reply) {
      Send([this, name, reply] {
        const auto session = sessions_.find(name);
        if (session != sessions_.end()) Tell(ShardReplied{session->second, reply});
      });
    };
    hooks.ack = [this, name](const std::string& worker, const ToyFrame& ack) {
      ToWorker(worker, [name, ack](SimWorker* w) { w->Ack(name, ack); });
    };
    hooks.weights = [this, name](const std::string& worker, const ToyWeights& weights) {
      ToWorker(worker, [name, weights](SimWorker* w) { w->Weights(name, weights); });
    };
    hooks.gone = [this](const std::string& worker, uint64_t job, int64_t current) {
      ToWorker(worker, [job, current](SimWorker* w) { w->Gone(job, current); });
    };
    hooks.crash = [this, name] { CrashShard(name, /*lose_disk=*/false); };
    hooks.violation = [this](const std::string& what) { violations_.push_back(what); };
    hooks.storage = &storage_;
    return std::make_unique<SimShard>(name, &clock_, &faults_, options_.mutant, std::move(hooks));
  }

  void AddWorker(const std::string& name) {
    SimWorker::Hooks hooks;
    hooks.tell = [this, name](CoordinatorEvent event) {
      Send([this, name, event] {
        const auto session = sessions_.find(name);
        if (session == sessions_.end()) return;
        CoordinatorEvent with_session = event;
        std::visit(
            [&](auto& e) {
              if constexpr (requires { e.session; }) e.session = session->second;
            },
            with_session);
        Tell(with_session);
      });
    };
    hooks.push = [this, name](const std::string& shard, const ToyFrame& frame) {
      ToShard(shard, frame.header.job, [name, frame](SimShard* s) { s->Push(name, frame); });
    };
    hooks.pull = [this, name](const std::string& shard, const Fence& version) {
      ToShard(shard, version.job,
              [name, version](SimShard* s) { s->Pull(name, version.epoch, version.step); });
    };
    hooks.violation = [this](const std::string& what) { violations_.push_back(what); };
    hooks.keeps = [this](uint32_t leaves) -> std::optional<uint32_t> {
      if (faults_.return_leaves == 0 || leaves < 2) return std::nullopt;
      if (!clock_.Chance(faults_.return_leaves)) return std::nullopt;
      return 1 + static_cast<uint32_t>(clock_.Draw(leaves - 1));
    };
    workers_.push_back(
        std::make_unique<SimWorker>(name, &clock_, &plans_, layout_, std::move(hooks)));
  }

  ShardProcess* FindShard(const std::string& name) {
    for (ShardProcess& shard : shards_) {
      if (shard.name == name) return &shard;
    }
    return nullptr;
  }
  SimWorker* FindWorker(const std::string& name) {
    for (auto& worker : workers_) {
      if (worker->name() == name) return worker.get();
    }
    return nullptr;
  }

  // ---- The network.
  void Send(std::function<void()> deliver) {
    if (clock_.Chance(faults_.drop)) return;
    const int copies = clock_.Chance(faults_.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      const Duration delay =
          clock_.Chance(faults_.slow) ? clock_.Between(20000, 1500000) : clock_.Between(50, 3000);
      clock_.After(delay, deliver);
    }
  }

  // A message to another incarnation than the one it was meant for is lost with its stream.
  void ToShard(const std::string& name, uint64_t job, std::function<void(SimShard*)> deliver) {
    SimShard* shard = FindShard(name)->jobs.at(job).get();
    const uint64_t incarnation = shard->incarnation();
    Send([this, shard, incarnation, deliver] { Deliver(shard, incarnation, deliver); });
  }

  void ToWorker(const std::string& name, std::function<void(SimWorker*)> deliver) {
    SimWorker* worker = FindWorker(name);
    const uint64_t incarnation = worker->incarnation();
    Send([this, worker, incarnation, deliver] { Deliver(worker, incarnation, deliver); });
  }

  // Node: SimShard or SimWorker.
  template <typename Node>
  void Deliver(Node* node, uint64_t incarnation, const std::function<void(Node*)>& deliver) {
    if (node->incarnation() != incarnation) return;
    if (node->frozen_until() <= clock_.now()) return deliver(node);
    clock_.After(node->frozen_until() - clock_.now(),
                 [this, node, incarnation, deliver] { Deliver(node, incarnation, deliver); });
  }

  // ---- The coordinator and its store.
  void StartCoordinator(bool restored) {
    ++coordinator_incarnation_;
    sessions_.clear();
    CoordinatorOptions options;
    options.shards_min = options_.shards;
    options.checkpoint_directory = "ckpt";
    coordinator_ = std::make_unique<Coordinator>(options);
    for (const auto& [id, store] : stores_) {
      const JobRecord record = store;  // Which the answers change.
      Tell(JobAdded{record, restored});
    }
    for (const ShardProcess& shard : shards_) JoinLater(shard.name);
    for (auto& worker : workers_) JoinLater(worker->name());
  }

  void JoinLater(const std::string& name) {
    const uint64_t incarnation = coordinator_incarnation_;
    clock_.After(clock_.Between(1000, 200000), [this, name, incarnation] {
      if (incarnation != coordinator_incarnation_) return;
      const ShardProcess* const shard = FindShard(name);
      if (shard != nullptr && shard->frozen_until() > clock_.now()) {
        clock_.After(shard->frozen_until() - clock_.now(), [this, name] { JoinLater(name); });
        return;
      }
      const SessionId session = ++last_session_;
      sessions_[name] = session;
      if (shard != nullptr) {
        Tell(ShardJoined{session, name, shard->incarnation(), name + ":1"});
      } else {
        Tell(WorkerJoined{session, name, "toy", 1});
      }
    });
  }

  void Leave(const std::string& name) {
    const auto found = sessions_.find(name);
    if (found == sessions_.end()) return;
    const SessionId session = found->second;
    sessions_.erase(found);
    const uint64_t incarnation = coordinator_incarnation_;
    clock_.After(clock_.Between(100, 5000), [this, session, incarnation, name] {
      if (incarnation != coordinator_incarnation_) return;
      if (FindShard(name) != nullptr) {
        Tell(ShardLeft{session, "stream broke"});
      } else {
        Tell(WorkerLeft{session, "stream broke"});
      }
    });
  }

  void Tell(const CoordinatorEvent& event) {
    for (CoordinatorAction& action : coordinator_->Handle(event, clock_.now())) {
      Do(action);
    }
  }

  void Do(const CoordinatorAction& action) {
    if (const auto* send = std::get_if<SendToWorker>(&action)) {
      const auto name = NameOf(send->session);
      if (name) {
        ToWorker(*name, [order = send->order](SimWorker* worker) { worker->Order(order); });
      }
    } else if (const auto* send_shard = std::get_if<SendToShard>(&action)) {
      const auto name = NameOf(send_shard->session);
      if (name) {
        ToShard(*name, JobOfOrder(send_shard->order),
                [order = send_shard->order](SimShard* shard) { shard->Order(order); });
      }
    } else if (const auto* raise = std::get_if<RaiseEpoch>(&action)) {
      JobRecord& store = stores_.at(raise->job);
      if (store.epoch != raise->from) violations_.push_back("the epoch was raised twice");
      store.epoch = raise->to;
    } else if (const auto* save = std::get_if<SaveJob>(&action)) {
      Store(save->record);
    } else if (const auto* commit = std::get_if<SaveCommit>(&action)) {
      CheckCommit(*commit);
      Store(commit->record);
    } else if (const auto* manifest = std::get_if<CommitManifest>(&action)) {
      CheckpointRecord checkpoint{manifest->version, manifest->applied, manifest->directory, 1,
                                  "digest",          manifest->ledger};
      const uint64_t incarnation = coordinator_incarnation_;
      const uint64_t job = manifest->record.id;
      clock_.After(clock_.Between(1000, 50000), [this, job, checkpoint, incarnation] {
        if (incarnation == coordinator_incarnation_) {
          Tell(ManifestCommitted{job, checkpoint, ""});
        }
      });
    }
  }

  void Store(const JobRecord& record) {
    stores_.at(record.id) = record;
    const auto running = std::count_if(stores_.begin(), stores_.end(), [](const auto& store) {
      return store.second.state == JobState::kRunning;
    });
    side_by_side_ |= running > 1;
  }

  std::optional<std::string> NameOf(SessionId session) const {
    for (const auto& [name, open] : sessions_) {
      if (open == session) return name;
    }
    return std::nullopt;
  }

  // ---- Trouble.
  void Tick() {
    clock_.After(kTick, [this] {
      Tell(drover::Tick{});
      Tick();
    });
  }

  void CrashShard(const std::string& name, bool lose_disk) {
    ++crashes_;
    for (auto& [job, shard] : FindShard(name)->jobs) shard->Crash(lose_disk);
    Leave(name);
    JoinLater(name);
  }

  // Silent for long enough, it is taken for gone; awake, it finds its stream broken and joins
  // again, whatever reached it meanwhile first.
  void FreezeShard(ShardProcess* shard, Duration duration) {
    const Instant begin = clock_.now();
    if (shard->frozen_until() > begin) return;
    for (auto& [job, part] : shard->jobs) part->FreezeUntil(begin + duration);
    ++freezes_;
    if (duration < kSilenceTimeout) return;
    const auto session = sessions_.find(shard->name);
    if (session == sessions_.end()) return;
    clock_.After(
        kSilenceTimeout, [this, shard, incarnation = shard->incarnation(), id = session->second] {
          const auto now = sessions_.find(shard->name);
          if (shard->incarnation() != incarnation || now == sessions_.end() || now->second != id)
            return;
          Leave(shard->name);
          JoinLater(shard->name);
        });
  }

  void Trouble() {
    clock_.After(milliseconds(50), [this] {
      if (clock_.Chance(faults_.crash_coordinator)) {
        ++crashes_;
        StartCoordinator(/*restored=*/true);
      }
      for (ShardProcess& shard : shards_) {
        if (clock_.Chance(faults_.crash_shard)) {
          CrashShard(shard.name, clock_.Chance(faults_.lose_disk));
        }
        if (clock_.Chance(faults_.freeze_shard)) {
          FreezeShard(&shard, clock_.Between(100000, 15000000));
        }
        if (clock_.Chance(faults_.break_stream)) {
          Leave(shard.name);
          JoinLater(shard.name);
        }
      }
      for (auto& worker : workers_) {
        if (clock_.Chance(faults_.freeze_worker)) worker->Freeze(clock_.Between(100000, 15000000));
        if (!clock_.Chance(faults_.crash_worker)) continue;
        ++crashes_;
        worker->Crash();
        Leave(worker->name());
        JoinLater(worker->name());
      }
      Trouble();
    });
  }

  // ---- Invariants that need a view of everything.
  // I4: a step is committed only when every shard holds its complete gradient.
  void CheckCommit(const SaveCommit& commit) {
    if (commit.commit.skip) return;
    for (const ShardProcess& process : shards_) {
      const Shard& core = process.jobs.at(commit.record.id)->core();
      const bool placed =
          std::any_of(commit.record.placement.begin(), commit.record.placement.end(),
                      [&](const Placement& placement) { return placement.shard == process.name; });
      // A shard that is just down holds it in its redo log, which its restart will show.
      if (!placed || core.phase() == Shard::Phase::kEmpty ||
          core.phase() == Shard::Phase::kLoading) {
        continue;
      }
      if (core.version() == commit.commit.fence.step && core.phase() != Shard::Phase::kPrepared) {
        violations_.push_back(fmt::format("I4: step {} committed, {} is not prepared",
                                          commit.commit.fence.step, process.name));
      }
    }
  }

  // I5: shards of one epoch are at most one version apart.
  void CheckVersions(const JobRecord& store) {
    std::optional<int64_t> low;
    std::optional<int64_t> high;
    for (const ShardProcess& process : shards_) {
      const Shard& core = process.jobs.at(store.id)->core();
      const bool holds =
          core.phase() == Shard::Phase::kFilling || core.phase() == Shard::Phase::kPrepared;
      if (!holds || core.epoch() != store.epoch || core.place()->discard) continue;
      low = std::min(low.value_or(core.version()), core.version());
      high = std::max(high.value_or(core.version()), core.version());
    }
    // While a placing finds out that a disk is lost, versions may differ by more; nothing is
    // committed before all agree.
    if (low && *high - *low > 1 && store.state == JobState::kRunning) {
      violations_.push_back(
          fmt::format("I5: versions {} and {} in epoch {}", *low, *high, store.epoch));
    }
  }

  const HistoryOptions options_;
  SimClock clock_;
  Faults faults_;
  std::map<uint64_t, JobPlan> plans_;
  const std::shared_ptr<const Layout> layout_;
  std::vector<ShardProcess> shards_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::unique_ptr<Coordinator> coordinator_;
  uint64_t coordinator_incarnation_ = 0;
  SessionId last_session_ = 0;
  std::map<std::string, SessionId> sessions_;
  std::map<uint64_t, JobRecord> stores_;  // By id.
  bool side_by_side_ = false;
  std::map<std::string, BlockValues> storage_;
  std::vector<std::string> violations_;
  int64_t crashes_ = 0;
  int64_t freezes_ = 0;
};

}  // namespace

HistoryResult RunHistory(const HistoryOptions& options) { return Cluster(options).Run(); }

}  // namespace drover::sim
