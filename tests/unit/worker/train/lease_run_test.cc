// What a lease pushes must be the sums of a slow loop, whoever computes its leaves in whatever
// order.

#include "worker/train/lease_run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "common/base/parse.h"
#include "common/base/thread.h"
#include "tests/support/random_floats.h"
#include "tests/unit/worker/comm/fake_shard.h"
#include "tests/unit/worker/train/adding_model.h"
#include "tests/unit/worker/train/small_job.h"

namespace drover {
namespace {

using Outcome = LeaseRun::Outcome;

constexpr int kFractionBits = 40;
constexpr int64_t kLeafSamples = 8;

class LeaseRunTest : public testing::Test {
 protected:
  struct Pushed {
    size_t part;
    FrameHeader header;
    std::string payload;
  };

  // "a" and "b" lie on the first shard, in one chunk; "c" is three chunks, two on the second shard.
  LeaseRunTest()
      : layout_(std::make_shared<const Layout>(
            Layout::Make({{"a", {3, 50}, {}}, {"b", {9}, {}}, {"c", {37, kBlockElements}, {}}})
                .value())) {
    context_.leaf_samples = kLeafSamples;
    context_.fraction_bits = kFractionBits;
    context_.layout = layout_;
    context_.chunks =
        std::make_shared<const ChunkMap>(*layout_, std::vector<BlockRange>{{0, 18}, {18, 39}});
    context_.header.job = 5;
    context_.header.epoch = 2;
    context_.header.layout_hash = layout_->hash();
    context_.push = [this](size_t part, const FrameHeader& header, const grpc::ByteBuffer& frame) {
      const ReceivedFrame received = ParseFrame(frame).value();
      EXPECT_TRUE(received.PayloadCrcMatches());
      EXPECT_EQ(
          received.header().payload_crc == header.payload_crc || header.type == FrameType::kStats,
          true);
      MutexLock lock(&mutex_);
      pushed_.push_back({part, received.header(), received.PayloadText()});
    };
    context_.floats = MakeBufferPool<float>(*layout_);
    context_.sums = MakeBufferPool<int64_t>(*layout_);
    context_.on_change = [this] { ++changes_; };
    context_.metrics = &metrics_;
  }

  std::shared_ptr<LeaseRun> Begin(LeafRange leaves) {
    return std::make_shared<LeaseRun>(LeaseRun::Order{1, 6, leaves}, context_,
                                      std::make_shared<const Weights>());
  }

  static float Value(uint32_t leaf, uint64_t element) { return RandomFloat(leaf, element) - 0.5f; }

  // As a lane does it: last layer first.
  void Compute(LeaseRun* run, uint32_t leaf) {
    FloatBuffer lane(layout_->SpanElements(layout_->all_blocks()));
    float* gradient = run->LeafBuffer(lane.data());
    double squares = 0.0;
    for (size_t tensor = layout_->tensors().size(); tensor-- > 0;) {
      Fill(leaf, tensor, gradient);
      squares += run->TensorFinal(leaf, tensor, gradient);
    }
    run->LeafFinal({1000 + leaf, 3, kLeafSamples, 10 * leaf}, SquareTotalOf(squares));
  }
  void Fill(uint32_t leaf, size_t tensor, float* gradient) const {
    const uint64_t offset = layout_->tensor_offset(tensor);
    for (uint64_t i = offset; i < offset + layout_->tensor_size(tensor); ++i) {
      gradient[i] = Value(leaf, i);
    }
  }

  // What all gradient frames together carry: [span elements], from where each chunk lies.
  template <typename T>
  std::vector<T> Assemble() const {
    std::vector<T> values(layout_->SpanElements(layout_->all_blocks()), T{-1});
    for (const Pushed& frame : pushed_) {
      if (frame.header.type != FrameType::kGradient) continue;
      std::memcpy(values.data() + layout_->SpanOffset(frame.header.blocks()), frame.payload.data(),
                  frame.payload.size());
    }
    return values;
  }
  // Elements of tensors by a slow loop, gaps zero; what lies between two chunks is in none: -1.
  std::vector<int64_t> SlowSums(const std::vector<uint32_t>& leaves) const {
    std::vector<int64_t> sums(layout_->SpanElements(layout_->all_blocks()), -1);
    for (const ChunkMap::Chunk& chunk : context_.chunks->chunks) {
      const auto begin = sums.begin() + static_cast<ptrdiff_t>(layout_->SpanOffset(chunk.blocks));
      std::fill(begin, begin + static_cast<ptrdiff_t>(layout_->SpanElements(chunk.blocks)), 0);
    }
    for (const Block& block : layout_->blocks()) {
      for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
        for (const uint32_t leaf : leaves) {
          const double value = static_cast<double>(Value(leaf, i));
          sums[i] += std::llrint(std::ldexp(value, kFractionBits));
        }
      }
    }
    return sums;
  }

  FrameHeader Ack(const Pushed& frame, Verdict verdict = Verdict::kStored) const {
    return AckHeader(frame.header, verdict);
  }

  const std::shared_ptr<const Layout> layout_;
  MetricRegistry registry_{MetricRole::kWorker};
  WorkerMetrics metrics_{&registry_, "w"};
  LeaseContext context_;
  std::atomic<int> changes_{0};
  Mutex mutex_;
  std::vector<Pushed> pushed_;
};

TEST_F(LeaseRunTest, SeveralLeavesGoAsTheirExactSum) {
  const auto run = Begin({1, 4});
  for (const uint32_t leaf : {3u, 1u, 2u}) Compute(run.get(), leaf);

  for (const Pushed& frame : pushed_) {
    EXPECT_EQ(frame.header.encoding, FrameEncoding::kI64);
    EXPECT_EQ(frame.header.leaves(), (LeafRange{1, 4}));
    EXPECT_EQ(frame.header.step, 6u);
    EXPECT_EQ(frame.header.job, 5u);
    EXPECT_EQ(frame.header.epoch, 2u);
    EXPECT_EQ(frame.header.layout_hash, layout_->hash());
  }
  EXPECT_EQ(Assemble<int64_t>(), SlowSums({1, 2, 3}));
}

TEST_F(LeaseRunTest, LanesSideBySideGiveTheSameSum) {
  const auto run = Begin({0, 8});
  {
    std::vector<Thread> lanes;
    for (int lane = 0; lane < 4; ++lane) {
      lanes.emplace_back("lane", [&] {
        while (const std::optional<uint32_t> leaf = run->NextLeaf()) Compute(run.get(), *leaf);
      });
    }
  }

  EXPECT_EQ(pushed_.size(), context_.chunks->chunks.size() + 2);
  EXPECT_EQ(Assemble<int64_t>(), SlowSums({0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(LeaseRunTest, OneLeafGoesAsItsFloats) {
  const auto run = Begin({2, 3});
  Compute(run.get(), 2);

  const std::vector<float> values = Assemble<float>();
  for (const Block& block : layout_->blocks()) {
    for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
      ASSERT_EQ(values[i], Value(2, i));
    }
  }
  EXPECT_EQ(values[layout_->tensor_size(0)], 0.0f) << "gaps are zero";
  EXPECT_EQ(pushed_[0].header.encoding, FrameEncoding::kF32);
}

TEST_F(LeaseRunTest, MemoryOfAnEndedLeaseIsUsedAgainAndStillRight) {
  auto first = Begin({0, 2});
  Compute(first.get(), 0);
  Compute(first.get(), 1);
  first.reset();
  const int64_t* memory = context_.sums->Take()->data();
  pushed_.clear();

  auto second = Begin({2, 4});
  Compute(second.get(), 2);
  Compute(second.get(), 3);

  EXPECT_EQ(Assemble<int64_t>(), SlowSums({2, 3}));
  second.reset();
  EXPECT_EQ(context_.sums->Take()->data(), memory);
}

TEST_F(LeaseRunTest, LastLayersGoWhileEarlierOnesAreNotFinal) {
  const auto run = Begin({0, 2});
  FloatBuffer lane(layout_->SpanElements(layout_->all_blocks()));
  Fill(0, 2, lane.data());

  run->TensorFinal(0, 2, lane.data());
  EXPECT_TRUE(pushed_.empty()) << "the other leaf is missing";
  run->TensorFinal(1, 2, lane.data());

  // Chunks of "c" alone; the one that it shares with "a" and "b" waits.
  ASSERT_EQ(pushed_.size(), 3u);
  for (const Pushed& frame : pushed_) EXPECT_GT(frame.header.block_begin, 0u);
  Fill(0, 1, lane.data());
  run->TensorFinal(0, 1, lane.data());
  run->TensorFinal(1, 1, lane.data());
  EXPECT_EQ(pushed_.size(), 3u);
  Fill(0, 0, lane.data());
  run->TensorFinal(0, 0, lane.data());
  run->TensorFinal(1, 0, lane.data());
  ASSERT_EQ(pushed_.size(), 4u);
  EXPECT_EQ(pushed_[3].header.block_begin, 0u);
}

TEST_F(LeaseRunTest, StatisticsAreTheSumOverTheLeavesAndGoToEveryShard) {
  const auto run = Begin({0, 2});
  Compute(run.get(), 0);
  Compute(run.get(), 1);

  std::vector<size_t> parts;
  for (const Pushed& frame : pushed_) {
    if (frame.header.type != FrameType::kStats) continue;
    parts.push_back(frame.part);
    ASSERT_EQ(frame.payload.size(), kStepStatsBytes);
    const auto bytes = std::as_bytes(std::span(frame.payload));
    const StepStats stats = DecodeStepStats(bytes.first<kStepStatsBytes>());
    EXPECT_EQ(stats, (StepStats{2001, 6, 2 * kLeafSamples, 10, stats.squares}));
    double squares = 0.0;
    for (const Block& block : layout_->blocks()) {
      for (uint64_t i = block.offset; i < block.offset + block.size; ++i) {
        squares += std::pow(double{Value(0, i)}, 2) + std::pow(double{Value(1, i)}, 2);
      }
    }
    EXPECT_NEAR(stats.squares.value(), squares, 1e-12 * squares);  // Another order.
  }
  EXPECT_EQ(parts, (std::vector<size_t>{0, 1}));
}

TEST_F(LeaseRunTest, IsDoneWhenEveryShardHasAcknowledgedEveryFrame) {
  const auto run = Begin({0, 2});
  Compute(run.get(), 0);
  Compute(run.get(), 1);
  for (size_t i = 0; i < pushed_.size(); ++i) {
    EXPECT_EQ(run->outcome(), Outcome::kOpen);
    EXPECT_EQ(changes_, 0);
    // Chunks that had arrived before a broken stream come back as duplicates.
    run->OnAck(pushed_[i].part,
               Ack(pushed_[i], i % 2 == 0 ? Verdict::kAdded : Verdict::kDuplicate));
    run->OnAck(pushed_[i].part, Ack(pushed_[i], Verdict::kDuplicate));  // Counts once.
  }

  EXPECT_EQ(run->outcome(), Outcome::kDone);
  EXPECT_EQ(changes_, 1);
  EXPECT_GE(run->duration(), run->push_duration());
  EXPECT_GT(run->push_duration().count(), 0);
}

TEST_F(LeaseRunTest, AcknowledgementsOfAnotherLeaseChangeNothing) {
  const auto run = Begin({0, 2});
  Compute(run.get(), 0);
  Compute(run.get(), 1);
  for (const Pushed& frame : pushed_) {
    FrameHeader other_step = Ack(frame, Verdict::kStep);
    other_step.step = 5;
    run->OnAck(frame.part, other_step);
    FrameHeader other_leaves = Ack(frame, Verdict::kOverlap);
    other_leaves.leaf_end = 3;
    run->OnAck(frame.part, other_leaves);
    FrameHeader no_chunk = Ack(frame);
    no_chunk.block_begin += 1;
    no_chunk.block_count = 1;
    run->OnAck(frame.part, no_chunk);
  }

  EXPECT_EQ(run->outcome(), Outcome::kOpen);
}

TEST_F(LeaseRunTest, LeafThatIsNotFiniteFailsTheLeaseAndNamesTensorAndElement) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {nan, infinity, -infinity}) {
    const auto run = Begin({0, 2});
    FloatBuffer lane = FloatBuffer::Zeroed(layout_->SpanElements(layout_->all_blocks()));
    lane.data()[layout_->tensor_offset(1) + 4] = value;

    run->TensorFinal(1, 1, lane.data());

    EXPECT_EQ(run->outcome(), Outcome::kFailed);
    EXPECT_EQ(run->failure().leaf, 1u);
    EXPECT_EQ(run->failure().tensor, "b");
    EXPECT_NE(run->failure().what.find("element 4 is "), std::string::npos);
    EXPECT_FALSE(run->NextLeaf());
  }
}

TEST_F(LeaseRunTest, LeafBeyondTheRangeOfFixedPointFailsTheLease) {
  const auto run = Begin({0, 2});
  FloatBuffer lane = FloatBuffer::Zeroed(layout_->SpanElements(layout_->all_blocks()));
  lane.data()[layout_->tensor_offset(1)] = LeafLimit(kLeafSamples);

  run->TensorFinal(0, 1, lane.data());

  EXPECT_EQ(run->outcome(), Outcome::kFailed);
  EXPECT_NE(run->failure().what.find("range of fixed point"), std::string::npos);
}

TEST_F(LeaseRunTest, RefusedChunkMakesTheLeaseVoid) {
  for (const Verdict verdict :
       {Verdict::kEpoch, Verdict::kStep, Verdict::kLease, Verdict::kLayout, Verdict::kEncoding,
        Verdict::kLength, Verdict::kChecksum, Verdict::kOverlap}) {
    pushed_.clear();
    const auto run = Begin({0, 1});
    Compute(run.get(), 0);
    run->OnAck(pushed_[0].part, Ack(pushed_[0], verdict));

    EXPECT_EQ(run->outcome(), Outcome::kVoid) << VerdictName(verdict);
  }
}

TEST_F(LeaseRunTest, GradientThatTheShardFindsNotFiniteFailsTheLease) {
  const auto run = Begin({0, 1});
  Compute(run.get(), 0);
  run->OnAck(pushed_[0].part, Ack(pushed_[0], Verdict::kNonfinite));

  EXPECT_EQ(run->outcome(), Outcome::kFailed);
}

TEST_F(LeaseRunTest, NothingIsPushedAfterTheEnd) {
  const auto run = Begin({0, 2});
  Compute(run.get(), 0);
  run->Cancel();
  run->Cancel();
  Compute(run.get(), 1);

  EXPECT_TRUE(pushed_.empty());
  EXPECT_EQ(run->outcome(), Outcome::kVoid);
  EXPECT_FALSE(run->NextLeaf());
  EXPECT_EQ(changes_, 1);
}

// With a model: what a lane runs.
class LeaseRunOnLaneTest : public LeaseRunTest {
 protected:
  void RunOn(
      const JobSetup& setup, LeafRange leaves, const LeafModelMaker& device = MakeCpuLeafModel,
      size_t lanes = 1, const std::function<void()>& meanwhile = [] {}) {
    runners_.clear();
    while (runners_.size() < lanes) runners_.push_back(LeafRunner::Make(setup, device).value());
    const auto layout = std::make_shared<const Layout>(runners_[0]->layout());
    context_.layout = layout;
    context_.leaf_samples = setup.phases[0].leaf_samples();
    context_.chunks =
        std::make_shared<const ChunkMap>(*layout, std::vector<BlockRange>{layout->all_blocks()});
    context_.floats = MakeBufferPool<float>(*layout);
    context_.sums = MakeBufferPool<int64_t>(*layout);
    run_ =
        std::make_shared<LeaseRun>(LeaseRun::Order{1, 0, leaves}, context_, WeightsOf(*layout, 0));
    std::vector<Thread> threads;
    for (const auto& runner : runners_) {
      threads.emplace_back("lane", [this, layout, lane = runner.get()] {
        std::vector<float> buffer(layout->SpanElements(layout->all_blocks()));
        run_->RunOn(lane, buffer.data());
      });
    }
    meanwhile();
    threads.clear();  // Joins.
  }

  std::vector<std::unique_ptr<LeafRunner>> runners_;
  std::shared_ptr<LeaseRun> run_;
};

StepStats StatsOf(const std::string& payload) {
  EXPECT_EQ(payload.size(), kStepStatsBytes);
  const auto bytes = std::as_bytes(std::span(payload));
  return DecodeStepStats(bytes.first<kStepStatsBytes>());
}

TEST_F(LeaseRunOnLaneTest, ComputesEveryLeafAndPushes) {
  RunOn(SmallJob(), {1, 3});

  ASSERT_EQ(pushed_.size(), 2u);
  EXPECT_EQ(pushed_[0].header.type, FrameType::kGradient);
  EXPECT_EQ(pushed_[1].header.type, FrameType::kStats);
  EXPECT_EQ(run_->outcome(), Outcome::kOpen);
}

TEST_F(LeaseRunOnLaneTest, CountsWhatItComputedAndWhereTheTimeWent) {
  metrics_.SetJob(5, 1);
  context_.sample_flops = 10;
  const JobSetup setup = SmallJob();
  RunOn(setup, {0, 2});
  const std::string text = registry_.Render();
  const auto value = [&text](const std::string& series) {
    const size_t at = text.find(series);
    EXPECT_NE(at, std::string::npos) << series;
    const size_t begin = at == std::string::npos ? text.size() : at + series.size();
    const auto number = ParseFloat(text.substr(begin, text.find('\n', begin) - begin));
    return number.ok() ? number.value() : -1.0;
  };
  const std::string job = "train_job=\"0000000000000005\"";
  EXPECT_EQ(value("drover_worker_model_flops_total{" + job + ",worker=\"w\"} "),
            10.0 * 2 * static_cast<double>(setup.phases[0].leaf_samples()));
  for (const std::string phase : {"reduce", "encode"}) {
    EXPECT_GT(
        value("drover_worker_phase_duration_seconds_sum{phase=\"" + phase + "\"," + job + "} "), 0)
        << phase;
  }
}

// All but the squares of single leaves, which never leave such a device.
TEST_F(LeaseRunOnLaneTest, DevicesThatAddLeavesPushTheBitsOfTheHost) {
  for (const LeafRange leaves : {LeafRange{0, 4}, LeafRange{2, 3}}) {
    RunOn(SmallJob(), leaves);
    const std::vector<Pushed> expected = std::exchange(pushed_, {});
    ASSERT_EQ(expected.size(), 2u);
    for (const size_t lanes : {1u, 2u, 3u}) {
      SCOPED_TRACE(lanes);
      RunOn(SmallJob(), leaves, AddingModel::Make, lanes);
      const std::vector<Pushed> pushed = std::exchange(pushed_, {});

      ASSERT_EQ(pushed.size(), 2u);
      EXPECT_EQ(pushed[0].payload, expected[0].payload);
      StepStats stats = StatsOf(expected[1].payload);
      EXPECT_TRUE(stats.squares.known());
      stats.squares = kUnknownSquareTotal;
      EXPECT_EQ(StatsOf(pushed[1].payload), stats);
    }
  }
}

// Each of its lanes has taken the leaf after the one that it is at.
TEST_F(LeaseRunOnLaneTest, DevicesThatAddLeavesMayGiveTheRestBack) {
  JobSetup setup = SmallJob();
  setup.phases = {{.batch = 64, .leaves = 8, .micro_batch = 4}};
  RunOn(setup, {0, 4});
  const std::vector<Pushed> expected = std::exchange(pushed_, {});
  SmallDataset train;
  train.gate = std::make_shared<ReadingGate>();
  setup.train = std::make_shared<SmallDataset>(train);

  RunOn(setup, {0, 8}, AddingModel::Make, 2, [&] {
    train.gate->AwaitReaders(2);
    EXPECT_EQ(run_->GiveBack(), 4u);
    train.gate->Open();
  });

  ASSERT_EQ(pushed_.size(), 2u);
  EXPECT_EQ(pushed_[0].header.leaves(), (LeafRange{0, 4}));
  EXPECT_EQ(pushed_[0].payload, expected[0].payload);
}

TEST_F(LeaseRunOnLaneTest, BadElementOnADeviceThatAddsLeavesFailsTheLease) {
  SmallDataset train;
  train.samples = 1;
  train.bad = 0;
  train.bad_input = std::numeric_limits<float>::quiet_NaN();
  RunOn(SmallJob(train), {0, 4}, AddingModel::Make, 2);

  EXPECT_EQ(run_->outcome(), Outcome::kFailed);
  EXPECT_NE(run_->failure().what.find("is nan"), std::string::npos) << run_->failure().what;
  EXPECT_TRUE(pushed_.empty());
}

TEST_F(LeaseRunOnLaneTest, ModelThatFailsBreaksTheLeaseOfThisWorkerOnly) {
  SmallDataset train;
  train.samples = 1;
  train.bad = 0;
  train.bad_label = 99;
  RunOn(SmallJob(train), {0, 4});

  EXPECT_EQ(run_->outcome(), Outcome::kBroken);
  EXPECT_NE(run_->failure().what.find("label 99"), std::string::npos);
  EXPECT_TRUE(pushed_.empty());
}

TEST_F(LeaseRunOnLaneTest, DataThatIsNotFiniteFailsTheLease) {
  SmallDataset train;
  train.samples = 1;
  train.bad = 0;
  train.bad_input = std::numeric_limits<float>::quiet_NaN();
  RunOn(SmallJob(train), {0, 4});

  EXPECT_EQ(run_->outcome(), Outcome::kFailed);
}

TEST_F(LeaseRunTest, WhatWasBegunIsPushedAsALeaseOfItsOwnWhenTheRestIsGivenBack) {
  const auto run = Begin({1, 7});
  EXPECT_EQ(run->NextLeaf(), 1u);
  EXPECT_EQ(run->NextLeaf(), 2u);
  Compute(run.get(), 1);

  EXPECT_EQ(run->GiveBack(), 3u);

  EXPECT_FALSE(run->NextLeaf());
  EXPECT_FALSE(run->GiveBack());
  EXPECT_TRUE(pushed_.empty());
  Compute(run.get(), 2);
  EXPECT_EQ(Assemble<int64_t>(), SlowSums({1, 2}));
  for (const Pushed& frame : pushed_) {
    EXPECT_EQ(frame.header.leaves(), (LeafRange{1, 3}));
    EXPECT_EQ(run->outcome(), Outcome::kOpen);
    run->OnAck(frame.part, Ack(frame));
  }
  EXPECT_EQ(run->outcome(), Outcome::kDone);
}

TEST_F(LeaseRunTest, LeavesThatAreWholeGoWhenTheRestIsGivenBack) {
  const auto run = Begin({0, 4});
  EXPECT_EQ(run->NextLeaf(), 0u);
  Compute(run.get(), 0);
  EXPECT_TRUE(pushed_.empty());

  EXPECT_EQ(run->GiveBack(), 1u);

  EXPECT_EQ(pushed_.size(), context_.chunks->chunks.size() + 2);
  EXPECT_EQ(Assemble<int64_t>(), SlowSums({0}));
}

TEST_F(LeaseRunTest, ALeaseOfWhichNothingWasBegunIsVoidWhenItIsGivenBack) {
  const auto run = Begin({2, 4});

  EXPECT_EQ(run->GiveBack(), 2u);

  EXPECT_EQ(run->outcome(), Outcome::kVoid);
  EXPECT_FALSE(run->NextLeaf());
  EXPECT_TRUE(pushed_.empty());
}

TEST_F(LeaseRunTest, NothingIsGivenBackOnceEveryLeafWasBegunOrTheLeaseHasEnded) {
  const auto begun = Begin({0, 1});
  EXPECT_EQ(begun->NextLeaf(), 0u);
  EXPECT_FALSE(begun->GiveBack());
  EXPECT_EQ(begun->leaves(), (LeafRange{0, 1}));

  const auto ended = Begin({0, 4});
  ended->Cancel();
  EXPECT_FALSE(ended->GiveBack());
}

TEST_F(LeaseRunTest, LanesSideBySideAndALeaseThatIsCutShort) {
  for (int times = 0; times < 20; ++times) {
    pushed_.clear();
    const auto run = Begin({0, 8});
    std::optional<uint32_t> end;
    {
      std::vector<Thread> lanes;
      for (int lane = 0; lane < 3; ++lane) {
        lanes.emplace_back("lane", [&] {
          while (const std::optional<uint32_t> leaf = run->NextLeaf()) Compute(run.get(), *leaf);
        });
      }
      end = run->GiveBack();
    }
    if (end == 0u) {
      EXPECT_TRUE(pushed_.empty());
      continue;
    }
    std::vector<uint32_t> leaves(end.value_or(8));
    std::iota(leaves.begin(), leaves.end(), 0u);
    EXPECT_EQ(pushed_.size(), context_.chunks->chunks.size() + 2);
    EXPECT_EQ(Assemble<int64_t>(), SlowSums(leaves));
  }
}

}  // namespace
}  // namespace drover
