// The training loop between a scripted coordinator and two scripted shards on loopback.

#include "worker/train/train_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/thread.h"
#include "common/rpc/layout_proto.h"
#include "tests/unit/worker/comm/fake_shard.h"
#include "tests/unit/worker/train/small_job.h"
#include "worker/nn/numeric_class.h"

namespace drover {
namespace {

using Kind = v1::WorkerMessage::KindCase;

constexpr Duration kPatience = std::chrono::seconds(60);
constexpr uint64_t kJob = 0xabc;

// Holds versions up to `newest`; what it says to gradients is up to the test.
class ScriptedShard {
 public:
  ScriptedShard(std::shared_ptr<const Layout> layout, BlockRange blocks)
      : layout_(std::move(layout)),
        blocks_(blocks),
        shard_([this](const FakeShard::Frame& frame) { return Answer(frame); }) {}

  FakeShard& shard() { return shard_; }
  BlockRange blocks() const { return blocks_; }
  // Sends it to the worker, which must have asked for it with its last pull.
  void Publish(int64_t version) {
    shard_.WaitForFrame(FrameType::kPull, static_cast<size_t>(version));
    const FrameHeader pull = last_pull_;
    EXPECT_EQ(pull.step, static_cast<uint64_t>(version));
    shard_.Say(Weights(version, pull.epoch));
  }

  std::atomic<int64_t> newest = 0;
  std::atomic<int64_t> oldest = 0;
  std::atomic<Verdict> verdict = Verdict::kStored;  // kNone: silence.
  std::atomic<bool> foreign = false;                // Weights in an encoding of no known release.

 private:
  std::vector<grpc::ByteBuffer> Answer(const FakeShard::Frame& frame) {
    const int64_t step = static_cast<int64_t>(frame.header.step);
    if (frame.header.type == FrameType::kHello) return {};
    if (frame.header.type == FrameType::kPull) {
      last_pull_ = frame.header;
      if (step < oldest) return {GoneFrame(frame.header, newest)};
      if (step > newest) return {};
      if (foreign) return {ForeignWeights(frame.header)};
      return {Weights(step, frame.header.epoch)};
    }
    if (verdict.load() == Verdict::kNone) return {};
    return {AckOf(frame.header, verdict)};
  }
  grpc::ByteBuffer Weights(int64_t version, uint32_t epoch) const {
    return WeightsFrame(*layout_, blocks_, SmallWeights(*layout_, version), version, epoch);
  }

  static grpc::ByteBuffer ForeignWeights(FrameHeader header) {
    header.type = FrameType::kWeights;
    header.encoding = static_cast<FrameEncoding>(4);
    return MakeSmallFrame(header, AsBytes("0123"));
  }

  const std::shared_ptr<const Layout> layout_;
  const BlockRange blocks_;
  FrameHeader last_pull_;  // Written before WaitForFrame sees the frame.
  FakeShard shard_;
};

class TrainLoopTest : public testing::Test {
 protected:
  TrainLoopTest()
      : layout_(std::make_shared<const Layout>(LeafRunner::Make(SmallJob()).value()->layout())),
        one_(layout_, {0, 2}),
        two_(layout_, {2, 4}) {}
  ~TrainLoopTest() override { End(); }

  void Start(JobSetup setup = SmallJob()) {
    Start([setup](const v1::JobSpec&) -> Result<JobSetup> { return setup; });
  }
  void Start(std::function<Result<JobSetup>(const v1::JobSpec&)> set_up) {
    TrainLoop::Options options;
    options.name = "w-1";
    options.choose_device = OnlyCpu(2);
    options.send = [this](v1::WorkerMessage message) { messages_.Push(std::move(message)); };
    options.metrics = &metrics_;
    options.set_up = std::move(set_up);
    loop_ = std::make_unique<TrainLoop>(std::move(options));
    thread_ = Thread("loop", [this] { loop_->Run(); });
  }
  // Nobody waits for an open lease.
  void End() {
    if (loop_ == nullptr) return;
    Order([](v1::WorkerOrder* order) { order->mutable_unassign()->set_job(kJob); });
    loop_->Leave();
    thread_.Join();
  }

  void Order(const std::function<void(v1::WorkerOrder*)>& fill) {
    v1::WorkerOrder order;
    fill(&order);
    loop_->OnOrder(order);
  }
  void Assign(uint32_t epoch, int64_t version, bool placed = true) {
    Order([&](v1::WorkerOrder* order) {
      v1::Assignment* assignment = order->mutable_assignment();
      assignment->set_job(kJob);
      assignment->set_epoch(epoch);
      assignment->set_version(version);
      assignment->set_token(token_);
      for (ScriptedShard* shard : {&one_, &two_}) {
        if (!placed) continue;
        v1::ShardAddress* address = assignment->add_shards();
        address->set_name("shard");
        address->set_address(shard->shard().address());
        address->set_block_begin(shard->blocks().begin);
        address->set_block_end(shard->blocks().end);
      }
    });
  }
  void Lease(uint32_t epoch, int64_t step, LeafRange leaves, int64_t timeout_ms = 60000) {
    Order([&](v1::WorkerOrder* order) {
      v1::Lease* lease = order->mutable_lease();
      lease->set_job(kJob);
      lease->set_epoch(epoch);
      lease->set_step(step);
      lease->set_lease(leaves.begin + 100);
      lease->set_leaf_begin(leaves.begin);
      lease->set_leaf_end(leaves.end);
      lease->set_timeout_ms(timeout_ms);
    });
  }
  void Pull(uint32_t epoch, int64_t version) {
    Order([&](v1::WorkerOrder* order) {
      order->mutable_pull()->set_job(kJob);
      order->mutable_pull()->set_epoch(epoch);
      order->mutable_pull()->set_version(version);
    });
  }
  void Evaluate(int64_t version, int64_t begin, int64_t end) {
    Order([&](v1::WorkerOrder* order) {
      v1::EvalLease* lease = order->mutable_eval_lease();
      lease->set_job(kJob);
      lease->set_epoch(1);
      lease->set_version(version);
      lease->set_lease(9);
      lease->set_sample_begin(begin);
      lease->set_sample_end(end);
      lease->set_timeout_ms(60000);
    });
  }

  // The worker's next message, which must be of this kind.
  v1::WorkerMessage Await(Kind kind) {
    std::optional<v1::WorkerMessage> message = messages_.PopFor(kPatience);
    EXPECT_TRUE(message.has_value());
    if (!message) return {};
    EXPECT_EQ(message->kind_case(), kind) << message->DebugString();
    return *message;
  }
  // Until it holds `version` and has asked for work.
  void Join(uint32_t epoch = 1, int64_t version = 0) {
    Assign(epoch, version);
    EXPECT_EQ(Await(Kind::kDescribe).describe().error(), "");
    const v1::WorkRequest request = Await(Kind::kWorkRequest).work_request();
    EXPECT_EQ(request.version(), version);
    EXPECT_EQ(request.epoch(), epoch);
  }
  void Answer(Verdict verdict) {
    one_.verdict = verdict;
    two_.verdict = verdict;
  }
  void Publish(int64_t version) {
    one_.Publish(version);
    two_.Publish(version);
  }

  // The n-th pushed chunk of each shard, put together: [span elements], in elements of T.
  template <typename T>
  std::vector<T> Pushed(size_t n) {
    std::vector<T> values(layout_->SpanElements(layout_->all_blocks()));
    for (ScriptedShard* shard : {&one_, &two_}) {
      const FakeShard::Frame frame = shard->shard().WaitForFrame(FrameType::kGradient, n);
      std::memcpy(values.data() + layout_->SpanOffset(frame.header.blocks()), frame.payload.data(),
                  frame.payload.size());
    }
    return values;
  }
  // By a slow loop on one lane.
  std::vector<int64_t> SlowSums(int64_t step, LeafRange leaves) const {
    const JobSetup setup = SmallJob();
    const auto runner = LeafRunner::Make(setup).value();
    const std::vector<float> weights = SmallWeights(*layout_, step);
    std::vector<int64_t> sums(weights.size(), 0);
    for (uint32_t leaf = leaves.begin; leaf < leaves.end; ++leaf) {
      std::vector<float> gradient(weights.size(), 0.0f);
      const std::atomic<bool> cancelled{false};
      EXPECT_TRUE(runner->RunLeaf(step, leaf, weights.data(), gradient.data(), {}, cancelled).ok());
      for (size_t i = 0; i < sums.size(); ++i) {
        sums[i] += std::llrint(std::ldexp(static_cast<double>(gradient[i]), setup.fraction_bits));
      }
    }
    return sums;
  }

  const std::shared_ptr<const Layout> layout_;
  MetricRegistry registry_{MetricRole::kWorker};
  WorkerMetrics metrics_{&registry_, "w-1"};
  BoundedQueue<v1::WorkerMessage> messages_{1000};
  ScriptedShard one_;
  ScriptedShard two_;
  std::string token_;
  std::unique_ptr<TrainLoop> loop_;
  Thread thread_;
};

TEST_F(TrainLoopTest, DescribesTheModelBeforeItIsPlaced) {
  Start();
  Assign(0, 0, /*placed=*/false);

  const v1::DescribeModel describe = Await(Kind::kDescribe).describe();
  EXPECT_EQ(describe.job(), kJob);
  EXPECT_EQ(LayoutFromProto(describe.layout()).value().hash(), layout_->hash());
  EXPECT_EQ(describe.train_samples(), 100);
  EXPECT_EQ(describe.eval_samples(), 100);
  EXPECT_TRUE(describe.has_train_fingerprint());
  EXPECT_EQ(describe.train_fingerprint(), 1u);
  EXPECT_EQ(describe.eval_fingerprint(), 1u);
  EXPECT_EQ(describe.dataset(), "idx /data/small");
  EXPECT_EQ(describe.numeric_class(), NumericClassOfCpu());
  EXPECT_EQ(describe.lanes(), 2u);
}

TEST_F(TrainLoopTest, TwoStepsPushTheSumsOfASlowLoop) {
  Start();
  Join();
  for (int64_t step = 0; step < 2; ++step) {
    Lease(1, step, {0, 3});
    const v1::LeaseDone done = Await(Kind::kLeaseDone).lease_done();
    EXPECT_EQ(done.step(), step);
    EXPECT_EQ(done.lease(), 100u);
    EXPECT_GT(done.seconds(), 0.0);
    EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), step);
    Lease(1, step, {3, 4});
    EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().lease(), 103u);
    EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), step);
    Publish(step + 1);
    EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), step + 1);
  }

  EXPECT_EQ(Pushed<int64_t>(0), SlowSums(0, {0, 3}));
  EXPECT_EQ(Pushed<int64_t>(2), SlowSums(1, {0, 3}));
  const std::vector<float> single = Pushed<float>(3);
  const std::vector<int64_t> expected = SlowSums(1, {3, 4});
  for (size_t i = 0; i < single.size(); ++i) {
    EXPECT_EQ(std::llrint(std::ldexp(static_cast<double>(single[i]), SmallJob().fraction_bits)),
              expected[i]);
  }
}

TEST_F(TrainLoopTest, EvaluatesWhatItIsGiven) {
  Start();
  Join();
  Evaluate(0, 0, 30);

  const v1::EvalDone done = Await(Kind::kEvalDone).eval_done();
  EXPECT_EQ(done.lease(), 9u);
  EXPECT_EQ(done.samples(), 30);
  EXPECT_GT(done.loss_fixed(), 0);
  Await(Kind::kWorkRequest);
}

TEST_F(TrainLoopTest, NewVersionEndsTheOpenLease) {
  Start();
  Join();
  Answer(Verdict::kNone);
  Lease(1, 0, {0, 2});
  one_.shard().WaitForFrame(FrameType::kGradient, 0);

  Publish(1);

  EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), 1);
  Answer(Verdict::kStored);
  Lease(1, 1, {0, 2});
  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().step(), 1);
}

TEST_F(TrainLoopTest, NewEpochInTheMiddleOfALeaseBeginsAnew) {
  Start();
  Join();
  Answer(Verdict::kNone);
  Lease(1, 0, {0, 4});
  one_.shard().WaitForFrame(FrameType::kGradient, 0);

  Answer(Verdict::kStored);
  Join(/*epoch=*/2);  // Version 0 is held, so work is asked for at once.
  EXPECT_EQ(two_.shard().WaitForFrame(FrameType::kHello, 1).header.epoch, 2u);
  Lease(1, 0, {0, 4});  // Late; of the old epoch.
  Lease(2, 0, {0, 4});

  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().epoch(), 2u);
}

TEST_F(TrainLoopTest, JobThatGoesBackIsPulledAtTheOlderVersion) {
  one_.newest = 8;
  two_.newest = 8;
  Start();
  Join(1, 8);
  Join(2, 4);  // Asks for work only when version 4 is there.
}

TEST_F(TrainLoopTest, OrderToPullWhatIsHeldOrComingChangesNothing) {
  Start();
  Join();
  one_.shard().WaitForFrame(FrameType::kPull, 1);
  Answer(Verdict::kNone);
  Lease(1, 0, {0, 2});
  one_.shard().WaitForFrame(FrameType::kGradient, 0);
  Pull(1, 0);
  Pull(1, 1);
  Pull(9, 5);                  // Of another epoch.
  one_.shard().BreakStream();  // Unacknowledged chunks are sent again, and answered this time.
  Answer(Verdict::kDuplicate);
  two_.shard().BreakStream();

  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().step(), 0);
  EXPECT_EQ(one_.shard().WaitForFrame(FrameType::kPull, 2).header.step, 1u);
}

TEST_F(TrainLoopTest, OrderToPullANewerVersionIsFollowed) {
  Start();
  Join();
  one_.newest = 6;
  two_.newest = 6;
  Pull(1, 6);

  EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), 6);
}

TEST_F(TrainLoopTest, VersionThatIsGoneIsReplacedByTheNewest) {
  for (ScriptedShard* shard : {&one_, &two_}) {
    shard->newest = 5;
    shard->oldest = 4;
  }
  Start();
  Assign(1, 0);
  Await(Kind::kDescribe);

  EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), 5);
}

TEST_F(TrainLoopTest, RefusedLeaseIsVoidAndWorkIsAskedForAgain) {
  Start();
  Join();
  Answer(Verdict::kStep);
  Lease(1, 0, {0, 2});

  EXPECT_EQ(Await(Kind::kWorkRequest).work_request().version(), 0);
}

TEST_F(TrainLoopTest, LeasesThatDoNotFitAreNotBegun) {
  Start();
  Join();
  Lease(1, 1, {0, 1});  // Another step.
  Lease(2, 0, {0, 1});  // Another epoch.
  Lease(1, 0, {2, 2});  // No leaf.
  Lease(1, 0, {3, 5});  // More leaves than there are.
  Evaluate(1, 0, 4);
  Evaluate(0, -4, 4);
  Evaluate(0, 8, 8);
  Evaluate(0, 0, 101);
  Order([](v1::WorkerOrder*) {});  // Of a newer coordinator.
  Lease(1, 0, {1, 2});

  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().lease(), 101u);
}

TEST_F(TrainLoopTest, AssignmentThatIsSentAgainIsAnsweredAgain) {
  Start();
  Join();
  Join();
  Lease(1, 0, {0, 1});
  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().lease(), 100u);
  EXPECT_EQ(one_.shard().Count(FrameType::kHello), 1u) << "the same streams go on";
}

TEST_F(TrainLoopTest, ARenewedTokenIsShownWhenTheWorkerDialsAgain) {
  const auto renew = [&](uint32_t epoch, const char* token) {
    Order([&](v1::WorkerOrder* order) {
      order->mutable_renew_token()->set_job(kJob);
      order->mutable_renew_token()->set_epoch(epoch);
      order->mutable_renew_token()->set_token(token);
    });
  };
  Start();
  token_ = "first";
  Join();
  renew(1, "second");
  renew(2, "of an epoch that is not here");
  Lease(1, 0, {0, 1});
  Await(Kind::kLeaseDone);  // The orders before it have been taken.

  one_.shard().BreakStream();

  one_.shard().WaitForFrame(FrameType::kHello, 1);
  EXPECT_EQ(one_.shard().tokens(), (std::vector<std::string>{"first", "second"}));
}

TEST_F(TrainLoopTest, UnassignDropsTheJobAndAnotherOneCanCome) {
  Start();
  Join();
  Answer(Verdict::kNone);
  Lease(1, 0, {0, 4});
  one_.shard().WaitForFrame(FrameType::kGradient, 0);
  Order([](v1::WorkerOrder* order) { order->mutable_unassign()->set_job(77); });
  Order([](v1::WorkerOrder* order) { order->mutable_unassign()->set_job(kJob); });
  Lease(1, 0, {0, 4});  // Crossed it.

  Answer(Verdict::kStored);
  Join();
  Lease(1, 0, {0, 4});

  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().step(), 0);
}

TEST_F(TrainLoopTest, GradientThatIsNotFiniteIsReportedWithLeafAndTensor) {
  SmallDataset train;
  train.samples = 1;
  train.bad = 0;
  train.bad_input = std::numeric_limits<float>::infinity();
  Start(SmallJob(train));
  Join();
  Lease(1, 0, {2, 3});

  const v1::LeaseFailed failed = Await(Kind::kLeaseFailed).lease_failed();
  EXPECT_EQ(failed.leaf(), 2u);
  EXPECT_EQ(failed.lease(), 102u);
  EXPECT_FALSE(failed.tensor().empty());
  EXPECT_NE(failed.what().find("element"), std::string::npos);
  Await(Kind::kWorkRequest);
}

TEST_F(TrainLoopTest, WorkerThatCannotComputeSaysSoAndDropsTheJob) {
  SmallDataset bad;
  bad.samples = 1;
  bad.bad = 0;
  bad.bad_label = 99;
  Start(SmallJob(bad));
  Join();
  Lease(1, 0, {0, 4});
  EXPECT_NE(Await(Kind::kDescribe).describe().error().find("label 99"), std::string::npos);
  Lease(1, 0, {0, 4});
  End();
  EXPECT_EQ(Await(Kind::kLeaving).kind_case(), Kind::kLeaving);

  Start(SmallJob({}, bad));
  Join();
  Evaluate(0, 0, 1);
  EXPECT_NE(Await(Kind::kDescribe).describe().error().find("evaluation"), std::string::npos);
}

TEST_F(TrainLoopTest, JobThatCannotBeSetUpIsRefused) {
  Start([](const v1::JobSpec&) -> Result<JobSetup> {
    return Status(Code::kNotFound, "no such file: digits.idx");
  });
  Assign(1, 0);
  EXPECT_EQ(Await(Kind::kDescribe).describe().error(), "no such file: digits.idx");
}

TEST_F(TrainLoopTest, ShardsThatDoNotHoldEveryBlockAreRefused) {
  Start();
  Order([&](v1::WorkerOrder* order) {
    order->mutable_assignment()->set_job(kJob);
    order->mutable_assignment()->set_epoch(1);
    order->mutable_assignment()->add_shards()->set_block_end(3);
  });
  EXPECT_EQ(Await(Kind::kDescribe).describe().error(), "");
  EXPECT_NE(Await(Kind::kDescribe).describe().error().find("from block 3"), std::string::npos);
}

TEST_F(TrainLoopTest, WeightsOfAnotherReleaseEndTheServiceWithAMessage) {
  two_.foreign = true;
  Start();
  Assign(1, 0);
  EXPECT_EQ(Await(Kind::kDescribe).describe().error(), "");

  const std::string why = Await(Kind::kDescribe).describe().error();

  EXPECT_NE(why.find("encoding is 4"), std::string::npos) << why;
  EXPECT_NE(why.find("run the same release"), std::string::npos) << why;
}

TEST_F(TrainLoopTest, LeavesAtOnceWithoutWork) {
  Start();
  Join();
  loop_->Leave();
  thread_.Join();

  Await(Kind::kLeaving);
  Lease(1, 0, {0, 1});  // Nobody reads it, and nobody waits.
  for (int i = 0; i < 1000; ++i) Pull(1, 5);
}

TEST_F(TrainLoopTest, LeavesWhenTheOpenLeaseIsDone) {
  Start();
  Join();
  Answer(Verdict::kNone);
  Lease(1, 0, {0, 2});
  one_.shard().WaitForFrame(FrameType::kStats, 0);
  two_.shard().WaitForFrame(FrameType::kStats, 0);
  loop_->Leave();
  Await(Kind::kLeaving);

  Answer(Verdict::kDuplicate);
  one_.shard().BreakStream();
  two_.shard().BreakStream();
  thread_.Join();

  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().lease(), 100u);
  EXPECT_FALSE(messages_.PopFor(Duration(0)).has_value()) << "no more work is asked for";
}

TEST_F(TrainLoopTest, FinishesTheLeavesItIsAtAndGivesTheRestBack) {
  SmallDataset train;
  train.gate = std::make_shared<ReadingGate>();
  Start(SmallJob(train));
  Join();
  Lease(1, 0, {0, 4});
  train.gate->AwaitReaders(2);  // Each of two lanes is at a leaf.

  loop_->Leave();

  Await(Kind::kLeaving);
  const v1::LeaseReturned returned = Await(Kind::kLeaseReturned).lease_returned();
  EXPECT_EQ(returned.job(), kJob);
  EXPECT_EQ(returned.epoch(), 1u);
  EXPECT_EQ(returned.step(), 0);
  EXPECT_EQ(returned.lease(), 100u);
  EXPECT_EQ(returned.leaf_begin(), 2u);
  train.gate->Open();
  thread_.Join();
  EXPECT_EQ(Await(Kind::kLeaseDone).lease_done().lease(), 100u);
  EXPECT_EQ(Pushed<int64_t>(0), SlowSums(0, {0, 2}));
  EXPECT_EQ(one_.shard().WaitForFrame(FrameType::kGradient, 0).header.leaves(), (LeafRange{0, 2}));
  EXPECT_FALSE(messages_.PopFor(Duration(0)).has_value());
}

TEST_F(TrainLoopTest, DropsAnEvaluationWhenItLeaves) {
  SmallDataset test;
  test.gate = std::make_shared<ReadingGate>();
  Start(SmallJob({}, test));
  Join();
  Evaluate(0, 0, 100);
  test.gate->AwaitReaders(1);

  loop_->Leave();

  Await(Kind::kLeaving);
  test.gate->Open();
  thread_.Join();
  EXPECT_FALSE(messages_.PopFor(Duration(0)).has_value());
}

TEST_F(TrainLoopTest, LeavesWhenTheTimeOfTheLeaseIsUp) {
  Start();
  Join();
  Answer(Verdict::kNone);
  Lease(1, 0, {0, 2}, /*timeout_ms=*/1);
  one_.shard().WaitForFrame(FrameType::kGradient, 0);

  loop_->Leave();
  thread_.Join();

  Await(Kind::kLeaving);
}

TEST_F(TrainLoopTest, EndsWithShardsThatAreNotThere) {
  Start();
  Order([&](v1::WorkerOrder* order) {
    v1::Assignment* assignment = order->mutable_assignment();
    assignment->set_job(kJob);
    assignment->set_epoch(1);
    v1::ShardAddress* shard = assignment->add_shards();
    shard->set_address("127.0.0.1:1");
    shard->set_block_end(4);
  });
  Await(Kind::kDescribe);
}

}  // namespace
}  // namespace drover
