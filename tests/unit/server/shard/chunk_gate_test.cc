#include "server/shard/chunk_gate.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

constexpr uint32_t kLeaves = 8;

// A shard that expects step 9 of epoch 2 of job 7, and its chunk of blocks [16, 18) with 100
// elements.
class ChunkGateTest : public testing::Test {
 protected:
  ChunkGateTest() {
    header_.type = FrameType::kGradient;
    header_.encoding = FrameEncoding::kF32;
    header_.job = 7;
    header_.epoch = 2;
    header_.step = 9;
    header_.layout_hash = 0xabc;
    header_.block_begin = 16;
    header_.block_count = 2;
    header_.leaf_begin = 3;
    header_.leaf_end = 4;
    header_.payload_bytes = 400;
  }

  void UseI64(LeafRange leaves) {
    header_.encoding = FrameEncoding::kI64;
    header_.payload_bytes = 800;
    header_.leaf_begin = leaves.begin;
    header_.leaf_end = leaves.end;
  }

  Verdict Decide() const { return DecideGradient(state_, {{16, 18}, 100, &leaves_}, header_); }

  GateState state_ = {7, 0xabc, 2, 9};
  LeafSet leaves_{kLeaves};
  FrameHeader header_;
};

TEST_F(ChunkGateTest, FirstArrivalIsStored) { EXPECT_EQ(Decide(), Verdict::kStored); }

TEST_F(ChunkGateTest, DisjointLeavesAreAdded) {
  leaves_.Add({0, 3});
  leaves_.Add({4, 8});

  EXPECT_EQ(Decide(), Verdict::kAdded);
}

TEST_F(ChunkGateTest, PresentLeavesAreADuplicate) {
  leaves_.Add({2, 6});
  EXPECT_EQ(Decide(), Verdict::kDuplicate);

  UseI64({2, 6});
  EXPECT_EQ(Decide(), Verdict::kDuplicate);
}

TEST_F(ChunkGateTest, RefusesPartialOverlapOfLeaves) {
  leaves_.Add({4, 5});
  UseI64({3, 5});
  EXPECT_EQ(Decide(), Verdict::kOverlap);

  UseI64({0, 8});
  EXPECT_EQ(Decide(), Verdict::kOverlap);
}

TEST_F(ChunkGateTest, RefusesOldAndNewEpochs) {
  header_.epoch = 1;
  EXPECT_EQ(Decide(), Verdict::kEpoch);

  header_.epoch = 3;
  EXPECT_EQ(Decide(), Verdict::kEpoch);
}

TEST_F(ChunkGateTest, RefusesStaleAndFutureSteps) {
  for (const uint64_t step : {uint64_t{0}, uint64_t{8}, uint64_t{10}, ~uint64_t{0}}) {
    header_.step = step;
    EXPECT_EQ(Decide(), Verdict::kStep);
  }
}

TEST_F(ChunkGateTest, RefusesEverythingWhileNoStepIsOpen) {
  state_.step.reset();

  EXPECT_EQ(Decide(), Verdict::kStep);
}

TEST_F(ChunkGateTest, RefusesAnotherJobOrLayout) {
  header_.job = 8;
  EXPECT_EQ(Decide(), Verdict::kLayout);

  header_.job = 7;
  header_.layout_hash = 0xabd;
  EXPECT_EQ(Decide(), Verdict::kLayout);
}

TEST_F(ChunkGateTest, RefusesBlocksThatAreNotTheChunk) {
  for (const BlockRange blocks :
       {BlockRange{16, 17}, BlockRange{16, 19}, BlockRange{17, 18}, BlockRange{0, 0}}) {
    header_.block_begin = blocks.begin;
    header_.block_count = blocks.end - blocks.begin;
    EXPECT_EQ(Decide(), Verdict::kLayout);
  }
  // A count that wraps around.
  header_.block_begin = 18;
  header_.block_count = 0xfffffffe;
  EXPECT_EQ(Decide(), Verdict::kLayout);
}

TEST_F(ChunkGateTest, RefusesLeafRangesThatCannotBe) {
  for (const LeafRange leaves : {LeafRange{3, 3}, LeafRange{4, 3}, LeafRange{7, 9}, LeafRange{8, 9},
                                 LeafRange{0xffffffff, 0}}) {
    UseI64(leaves);
    EXPECT_EQ(Decide(), Verdict::kLease) << leaves.begin << ", " << leaves.end;
  }
}

TEST_F(ChunkGateTest, RefusesFloatSumsOfSeveralLeaves) {
  // Their bits would depend on how leaves were grouped.
  header_.leaf_end = 5;
  EXPECT_EQ(Decide(), Verdict::kEncoding);

  header_.encoding = FrameEncoding::kNone;
  EXPECT_EQ(Decide(), Verdict::kEncoding);
}

TEST_F(ChunkGateTest, RefusesEveryOtherLength) {
  for (const uint32_t bytes : {0u, 396u, 399u, 401u, 404u, 800u}) {
    header_.payload_bytes = bytes;
    EXPECT_EQ(Decide(), Verdict::kLength);
  }
  UseI64({0, 8});
  header_.payload_bytes = 400;
  EXPECT_EQ(Decide(), Verdict::kLength);
}

TEST_F(ChunkGateTest, FenceComesBeforeContents) {
  header_.epoch = 1;
  header_.payload_bytes = 1;
  header_.leaf_end = 100;
  leaves_.Add({3, 4});

  EXPECT_EQ(Decide(), Verdict::kEpoch);
}

TEST_F(ChunkGateTest, StatisticsAreAChunkWithoutBlocks) {
  header_.type = FrameType::kStats;
  header_.block_begin = 0;
  header_.block_count = 0;
  header_.encoding = FrameEncoding::kI64;
  header_.payload_bytes = kStepStatsBytes;
  EXPECT_EQ(DecideStats(state_, leaves_, header_), Verdict::kStored);

  leaves_.Add({3, 4});
  EXPECT_EQ(DecideStats(state_, leaves_, header_), Verdict::kDuplicate);

  header_.payload_bytes = 24;
  EXPECT_EQ(DecideStats(state_, leaves_, header_), Verdict::kLength);
  header_.encoding = FrameEncoding::kF32;
  EXPECT_EQ(DecideStats(state_, leaves_, header_), Verdict::kEncoding);
  header_.block_count = 1;
  EXPECT_EQ(DecideStats(state_, leaves_, header_), Verdict::kLayout);
  header_.step = 8;
  EXPECT_EQ(DecideStats(state_, leaves_, header_), Verdict::kStep);
}

}  // namespace
}  // namespace drover
