// S: orders and files that a shard must not follow, and the checkpoints of J 63 and 64. Orders come
// from the coordinator, who is trusted: they are handed to the shard as its session hands them on.
// An order that does not fit is logged and not obeyed; nothing is counted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <utility>

#include "server/checkpoint_file.h"
#include "tests/bad_input/frames.h"
#include "tests/bad_input/lab_shard.h"
#include "tests/unit/server/bad_checkpoints.h"

namespace drover::bad_input {
namespace {

using ::testing::HasSubstr;

// ---- Orders.

void BadCommits(World& world) {
  LabShard lab(&world);
  const Layout& layout = *lab.layout();
  ShardRuntime& shard = lab.driver().runtime();
  shard.Post(SlowJobCommit(layout, 0));  // Without PREPARED.
  shard.Post(SlowJobCommit(layout, 2));
  CommitOrder other = SlowJobCommit(layout, 0);
  other.fence.job = 5;
  shard.Post(other);
  lab.Place(1);
  EXPECT_FALSE(lab.driver().HasReply()) << "an order was obeyed";
  lab.FinishStep();

  // Prepared, and then told so by the epoch before and by the one to come.
  lab.Place(2);
  shard.Post(SlowJobCommit(layout, 1, 1));
  shard.Post(SlowJobCommit(layout, 1, 3));
  ASSERT_EQ(lab.Place(SlowJobPlace(lab.layout(), 2)).fence.step, 1);
  EXPECT_FALSE(lab.driver().HasReply());
}

// The answer to a pull: the first frame after it.
FrameHeader AnswerToPull(LabShard& lab, uint64_t version) {
  Pusher rogue(lab);
  FrameHeader pull = SlowJobHeader(FrameType::kPull, *lab.layout(), 0, {0, 0});
  pull.step = version;
  EXPECT_TRUE(rogue.Write(FrameBytes(pull, "")));
  return rogue.Read().first;
}

void BadPulls(World& world) {
  LabShard lab(&world);
  for (int step = 0; step < 3; ++step) lab.FinishStep();
  for (const uint64_t gone : {uint64_t{0}, uint64_t{1}}) {
    const FrameHeader answer = AnswerToPull(lab, gone);
    EXPECT_EQ(answer.type, FrameType::kGone) << gone;
    EXPECT_EQ(answer.step, 3u);
  }
  // A version to come is waited for: that is how workers are served. Five at once are too many.
  Pusher rogue(lab);
  for (uint64_t ahead = 4; ahead < 9; ++ahead) {
    FrameHeader pull = SlowJobHeader(FrameType::kPull, *lab.layout(), 0, {0, 0});
    pull.step = ahead << 40;
    rogue.Write(FrameBytes(pull, ""));
  }
  EXPECT_EQ(rogue.End().code(), Code::kResourceExhausted);
  lab.FinishStep();
}

// ---- Checkpoints.

// A committed checkpoint of two shards' files of `job`; its folder.
std::string Checkpoint(World& world, const TestJob& job) {
  const std::string root = world.NewFolder("checkpoint");
  const Manifest manifest = job.Stage(FileSystem::Real(), root + "/.tmp-1", 2);
  const std::string folder = root + "/" + CheckpointName(manifest.version, manifest.epoch);
  EXPECT_TRUE(CommitCheckpoint(FileSystem::Real(), root + "/.tmp-1", folder, manifest).ok());
  return folder;
}

// To begin with that checkpoint, whatever is held.
PlaceOrder PlaceFrom(const std::string& folder, const TestJob& job, uint32_t epoch) {
  PlaceOrder place = SlowJobPlace(std::make_shared<const Layout>(job.layout), epoch);
  place.job = 0xabcdef;
  place.origin = {folder, 50};
  place.discard = true;
  return place;
}

// Also that of `drover checkpoint verify`, which looks at all of it. A shard looks at what it
// reads.
void BadFiles(World& world) {
  const std::set<std::string> unread = {"StrangerInTheDirectory", "ManifestWithAnotherDigest"};
  const TestJob job = SmallJob();
  LabShard lab(&world, /*chunks=*/1, /*place=*/false);
  uint32_t epoch = 0;
  for (const BadCheckpoint& bad : BadCheckpoints()) {
    SCOPED_TRACE(bad.name);
    const std::string folder = Checkpoint(world, job);
    bad.spoil(folder);
    EXPECT_EQ(VerifyCheckpoint(FileSystem::Real(), folder).status().code(), bad.code);
    const PlacedReply placed = lab.Place(PlaceFrom(folder, job, ++epoch));
    EXPECT_EQ(placed.error.empty(), unread.contains(bad.name)) << placed.error;
  }
  // Permission 000, which root would not notice.
  ClosedDisk disk(FileSystem::Real(), Code::kPermissionDenied);
  EXPECT_EQ(VerifyCheckpoint(disk, Checkpoint(world, job)).status().code(), Code::kDataLoss);
  // And a good one after all of them.
  EXPECT_EQ(lab.Place(PlaceFrom(Checkpoint(world, job), job, ++epoch)).error, "");
}

// Of another job and with other tensors.
void ForeignCheckpoint(World& world) {
  LabShard lab(&world);
  PlaceOrder place = SlowJobPlace(lab.layout(), 2);
  place.origin = {Checkpoint(world, SmallJob()), 50};
  place.discard = true;
  EXPECT_THAT(lab.Place(place).error, HasSubstr("job"));
}

// The specification of a job never changes, and a checkpoint belongs to one job: so one of another
// specification is one of another job, however well its tensors fit.
void OtherSpecification(World& world) {
  const TestJob job = SmallJob();
  LabShard lab(&world, /*chunks=*/1, /*place=*/false);
  PlaceOrder place = PlaceFrom(Checkpoint(world, job), job, 1);
  place.job = 0xabcdf0;
  EXPECT_THAT(lab.Place(place).error, HasSubstr("expected one of job"));
  EXPECT_EQ(lab.Place(PlaceFrom(place.origin.checkpoint, job, 2)).error, "");
}

}  // namespace

std::vector<Case> ShardCases() {
  return {
      {63, "resume from a foreign checkpoint", ForeignCheckpoint},
      {64, "resume with another specification", OtherSpecification},
      {92, "commits that may not be", BadCommits},
      {93, "pull of versions that are not there", BadPulls},
      {94, "damaged and hostile checkpoints", BadFiles},
  };
}

}  // namespace drover::bad_input
