// P: gradients that do not fit, to a shard of their own. Each is answered with a verdict and
// counted under it; afterwards the step is finished by an honest worker, and the weights are those
// of a slow loop that never saw the bad ones.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/bad_input/frames.h"
#include "tests/bad_input/lab_shard.h"

namespace drover::bad_input {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// The first frame of leaf 0, its gradient.
SlowJobFrame First(const LabShard& lab) { return lab.Frames(0).front(); }

SlowJobFrame WithElement(const LabShard& lab, size_t index, float value) {
  SlowJobFrame frame = First(lab);
  memcpy(frame.payload.data() + index * sizeof(float), &value, sizeof(float));
  return frame;
}

Counts Refused(const char* reason, double count) {
  return {{std::string("refused_chunks/") + reason, count}};
}

void WrongLength(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  const SlowJobFrame frame = First(lab);
  EXPECT_EQ(rogue.Push(frame.header, frame.payload + "abcd"), Verdict::kLength);
  EXPECT_EQ(rogue.Push(frame.header, frame.payload.substr(4)), Verdict::kLength);
  EXPECT_EQ(rogue.Push(frame.header, ""), Verdict::kLength);
  // A header that promises another length than the message has is no frame.
  std::string bytes = FrameBytes(frame.header, frame.payload);
  EXPECT_TRUE(rogue.Write(bytes.substr(0, bytes.size() - 4)));
  EXPECT_EQ(rogue.End().code(), Code::kInvalidArgument);
  lab.FinishStep();
}

void WrongChunk(World& world) {
  LabShard lab(&world, /*chunks=*/2);
  Pusher rogue(lab);
  SlowJobFrame frame = First(lab);
  for (const uint32_t begin : {1u, 15u, 4096u, 0xffffffffu}) {
    frame.header.block_begin = begin;
    EXPECT_EQ(rogue.Push(frame), Verdict::kLayout) << begin;
  }
  frame.header.block_begin = 0;
  frame.header.block_count = 0;
  EXPECT_EQ(rogue.Push(frame), Verdict::kLayout);
  lab.FinishStep();
}

// A shard that owns the first chunk is sent the second.
void ChunkOfAnother(World& world) {
  LabShard lab(&world, /*chunks=*/2, /*place=*/false);
  const std::vector<BlockRange> chunks = lab.layout()->Chunks(lab.layout()->all_blocks());
  ASSERT_EQ(chunks.size(), 2u);
  PlaceOrder place = SlowJobPlace(lab.layout());
  place.shard_count = 2;
  place.blocks = chunks[0];
  ASSERT_EQ(lab.Place(place).error, "");
  Pusher rogue(lab);
  EXPECT_EQ(rogue.Push(lab.Frames(0)[1]), Verdict::kLayout);
  EXPECT_EQ(rogue.Push(lab.Frames(0)[0]), Verdict::kStored);
}

void NotANumber(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  for (const size_t at : {size_t{0}, size_t{100}, First(lab).payload.size() / 4 - 1}) {
    EXPECT_EQ(rogue.Push(WithElement(lab, at, std::nanf(""))), Verdict::kNonfinite);
  }
  lab.FinishStep();
}

void Infinite(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  EXPECT_EQ(rogue.Push(WithElement(lab, 3, kInfinity)), Verdict::kNonfinite);
  EXPECT_EQ(rogue.Push(WithElement(lab, 3, -kInfinity)), Verdict::kNonfinite);
  // What a worker says of itself is a report, not a chunk: it is answered and not counted.
  EXPECT_EQ(rogue.Push(SlowJobHeader(FrameType::kNonfinite, *lab.layout(), 0, {1, 2}), kCanary),
            Verdict::kNonfinite);
  lab.FinishStep();
}

// A leaf of s samples stays below 2^14 * s.
void OutOfRange(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  const float limit = 16384.0f * (kSlowJobBatch / kSlowJobLeaves);
  EXPECT_EQ(rogue.Push(WithElement(lab, 7, 2 * limit)), Verdict::kRange);
  EXPECT_EQ(rogue.Push(WithElement(lab, 7, -std::numeric_limits<float>::max())), Verdict::kRange);
  lab.FinishStep();
}

// Accepted: the smallest numbers and -0 are numbers, and round to 0 in fixed point.
void Denormals(World& world) {
  LabShard lab(&world);
  Pusher worker(lab);
  const size_t elements = First(lab).payload.size() / sizeof(float);
  for (uint32_t leaf = 0; leaf < kSlowJobLeaves; ++leaf) {
    std::vector<SlowJobFrame> frames = lab.Frames(leaf);
    std::vector<float> tiny(elements, leaf % 2 == 0 ? -0.0f : 0x1p-149f);
    frames[0].payload = PayloadBytes(tiny);
    EXPECT_EQ(worker.Push(frames[0]), leaf == 0 ? Verdict::kStored : Verdict::kAdded);
    EXPECT_EQ(worker.Push(frames[1]), leaf == 0 ? Verdict::kStored : Verdict::kAdded);
  }
  const PreparedReply prepared = lab.driver().Await<PreparedReply>();
  for (const double square : prepared.gradient_squares) EXPECT_EQ(square, 0.0);
}

void WrongChecksum(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  SlowJobFrame frame = First(lab);
  frame.header.payload_crc = 12345;
  EXPECT_EQ(rogue.Push(frame), Verdict::kChecksum);
  // Into a chunk that holds a leaf already: what was added is taken out again.
  EXPECT_EQ(rogue.Push(lab.Frames(1)[0]), Verdict::kStored);
  EXPECT_EQ(rogue.Push(frame), Verdict::kChecksum);
  lab.FinishStep();
}

void StaleStep(World& world) {
  LabShard lab(&world);
  const std::vector<SlowJobFrame> old = lab.Frames(0);
  lab.FinishStep();
  Pusher rogue(lab);
  EXPECT_EQ(rogue.Push(old[0]), Verdict::kStep);
  lab.FinishStep();
}

void PushOfFutureStep(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  SlowJobFrame frame = First(lab);
  for (const uint64_t step : {uint64_t{1}, ~uint64_t{0}}) {
    frame.header.step = step;
    EXPECT_EQ(rogue.Push(frame), Verdict::kStep);
  }
  lab.FinishStep();
}

// On a stream that was opened before the job moved on. Its token allows that epoch and no other, so
// a frame of another one ends the stream.
void OldEpoch(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  const SlowJobFrame old = First(lab);
  EXPECT_EQ(rogue.Push(old), Verdict::kStored);
  lab.Place(2);
  EXPECT_EQ(rogue.Push(old), Verdict::kEpoch);
  EXPECT_TRUE(rogue.Write(FrameBytes(First(lab).header, First(lab).payload)));
  EXPECT_EQ(rogue.End().code(), Code::kPermissionDenied);
  lab.FinishStep();
}

void Duplicate(World& world) {
  LabShard lab(&world);
  Pusher worker(lab);
  EXPECT_EQ(worker.Push(First(lab)), Verdict::kStored);
  EXPECT_EQ(worker.Push(First(lab)), Verdict::kDuplicate);
  lab.FinishStep();  // Brings it once more.
}

// The first one stays, and the log says that a worker does not compute the same bits as before.
void OtherDuplicate(World& world) {
  LabShard lab(&world);
  Pusher worker(lab);
  EXPECT_EQ(worker.Push(First(lab)), Verdict::kStored);
  EXPECT_EQ(worker.Push(WithElement(lab, 5, 0.25f)), Verdict::kDuplicate);
  EXPECT_EQ(lab.driver().runtime().accumulator()->counters().nondeterministic, 1u);
  lab.FinishStep();
}

// Each sends every other chunk first; what one brought is a duplicate for the other.
void TwoWorkersOneLeaf(World& world) {
  LabShard lab(&world, /*chunks=*/2);
  Pusher one(lab, "one");
  Pusher two(lab, "two");
  const std::vector<SlowJobFrame> frames = lab.Frames(0);
  EXPECT_EQ(one.Push(frames[0]), Verdict::kStored);
  EXPECT_EQ(two.Push(frames[1]), Verdict::kStored);
  EXPECT_EQ(one.Push(frames[1]), Verdict::kDuplicate);
  EXPECT_EQ(two.Push(frames[0]), Verdict::kDuplicate);
  lab.FinishStep();  // Brings both once more.
}

void AfterTheCommit(World& world) {
  LabShard lab(&world);
  const std::vector<SlowJobFrame> late = lab.Frames(3);
  lab.FinishStep();
  Pusher rogue(lab);
  for (const SlowJobFrame& frame : late) EXPECT_EQ(rogue.Push(frame), Verdict::kStep);
  lab.FinishStep();
}

// What it brought counts; the rest is brought by the next worker.
void StreamDies(World& world) {
  LabShard lab(&world, /*chunks=*/2);
  {
    Pusher dies(lab);
    EXPECT_EQ(dies.Push(lab.Frames(2)[0]), Verdict::kStored);
    dies.Cancel();
  }
  lab.FinishStep();
}

void WrongType(World& world) {
  LabShard lab(&world);
  Pusher rogue(lab);
  SlowJobFrame frame = First(lab);
  frame.header.encoding = FrameEncoding::kBf16;
  EXPECT_EQ(rogue.Push(frame.header, frame.payload.substr(0, frame.payload.size() / 2)),
            Verdict::kEncoding);
  frame.header.encoding = FrameEncoding::kNone;
  EXPECT_EQ(rogue.Push(frame), Verdict::kEncoding);
  // Two leaves in float32: their sum would depend on how they were grouped.
  frame.header.encoding = FrameEncoding::kF32;
  frame.header.leaf_end = 2;
  EXPECT_EQ(rogue.Push(frame), Verdict::kEncoding);
  lab.FinishStep();
}

}  // namespace

std::vector<Case> PushCases() {
  return {
      {75, "wrong length of a chunk", WrongLength, Refused("length", 4)},
      {76, "wrong chunk", WrongChunk, Refused("layout", 5)},
      {77, "chunk of another shard", ChunkOfAnother, Refused("layout", 1)},
      {78, "NaN", NotANumber, Refused("nonfinite", 3)},
      {79, "infinity", Infinite, Refused("nonfinite", 2)},
      {80, "beyond the range of fixed point", OutOfRange, Refused("range", 2)},
      {81, "denormals and -0", Denormals},
      {82,
       "wrong checksum",
       WrongChecksum,
       {{"refused_chunks/checksum", 2}, {"duplicate_chunks", 1}}},
      {83, "stale step", StaleStep, Refused("step", 1)},
      {84, "future step", PushOfFutureStep, Refused("step", 2)},
      {85,
       "old epoch",
       OldEpoch,
       {{"refused_chunks/epoch", 1}, {"duplicate_chunks", 1}, {"auth_failures/forbidden", 1}},
       1},
      {86, "duplicate with the same bits", Duplicate, {{"duplicate_chunks", 2}}},
      {87, "duplicate with other bits", OtherDuplicate, {{"duplicate_chunks", 2}}},
      {88, "two workers push one leaf", TwoWorkersOneLeaf, {{"duplicate_chunks", 4}}},
      {89, "push after the commit", AfterTheCommit, Refused("step", 2)},
      {90, "stream that dies after some chunks", StreamDies, {{"duplicate_chunks", 1}}},
      {91, "wrong type of numbers", WrongType, Refused("layout", 3)},
  };
}

}  // namespace drover::bad_input
