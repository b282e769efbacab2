#include "server/coordinator/checkpoint_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "server/checkpoint_file.h"
#include "server/optim/rule.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Half a second passes between two readings.
class QuickClock final : public Clock {
 public:
  Instant Now() const override { return Instant(std::chrono::milliseconds(500 * ++readings_)); }
  int64_t UnixMilliseconds() const override { return 1234; }

 private:
  mutable int readings_ = 0;
};

class CheckpointThreadTest : public ::testing::Test {
 protected:
  // What the shards have written when the core asks for the commit: one file of a lamb job.
  CheckpointTask Stage(int64_t version) {
    const Layout& layout = *layout_;
    CheckpointTask task;
    task.spec_digest = std::string(64, 'e');
    CommitManifest& order = task.manifest;
    order.record.id = 0xab;
    order.record.name = "digits";
    order.record.plan = SmallPlan();
    order.record.plan.checkpoint_keep = 2;
    order.record.epoch = 3;
    order.record.layout = layout_;
    order.record.numeric_class = "cpu";
    order.version = version;
    order.applied = version - 1;
    order.ledger = {1, 2, 3, 4, 5, 6};
    order.directory = root_ + "/.tmp-" + std::to_string(version);
    EXPECT_TRUE(fs_.MakeDirectories(order.directory).ok());
    const std::vector<float> zeros(layout.SpanElements(layout.all_blocks()), 0.0f);
    const Result<WrittenFile> file =
        WriteShardFile(fs_, order.directory + "/" + CheckpointShardName(0, 1),
                       {0xab, version, version - 1, layout.hash(), layout.all_blocks(), "lamb", 2},
                       layout, {zeros.data(), zeros.data(), zeros.data()});
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    order.files = {{file.value().name, static_cast<int64_t>(file.value().bytes), file.value().xxh3,
                    layout.all_blocks()}};
    return task;
  }

  FileSystem& fs_ = FileSystem::Real();
  TestFolder folder_{"checkpoint_thread_test"};
  const std::string root_ = folder_.path() + "/00000000000000ab/ckpt";
  const std::shared_ptr<const Layout> layout_ = SmallLayout();
};

TEST_F(CheckpointThreadTest, WhatIsCommittedVerifies) {
  const ManifestCommitted event = CommitCheckpointTask(fs_, Stage(50), QuickClock());

  EXPECT_EQ(event.error, "");
  EXPECT_EQ(event.job, 0xabu);
  EXPECT_EQ(event.checkpoint.version, 50);
  EXPECT_EQ(event.checkpoint.applied, 49);
  EXPECT_EQ(event.checkpoint.path, root_ + "/" + CheckpointName(50, 3));
  EXPECT_EQ(event.checkpoint.ledger.refused, 6);
  const Result<Manifest> manifest = VerifyCheckpoint(fs_, event.checkpoint.path);
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  EXPECT_EQ(manifest.value().job_name, "digits");
  EXPECT_EQ(manifest.value().epoch, 3u);
  EXPECT_EQ(manifest.value().rule, "lamb");
  EXPECT_EQ(manifest.value().slots, 2u);
  EXPECT_EQ(manifest.value().created_unix_ms, 1234u);
  EXPECT_EQ(event.verify_seconds, 0.5);
  EXPECT_EQ(manifest.value().weights_digest, event.checkpoint.weights_digest);
  EXPECT_EQ(event.checkpoint.bytes, static_cast<int64_t>(manifest.value().files[0].bytes));
}

TEST_F(CheckpointThreadTest, TheNewestAreKept) {
  for (const int64_t version : {10, 20, 30}) {
    EXPECT_EQ(CommitCheckpointTask(fs_, Stage(version), QuickClock()).error, "");
  }

  EXPECT_THAT(fs_.List(root_).value(), ElementsAre(CheckpointName(20, 3), CheckpointName(30, 3)));
}

TEST_F(CheckpointThreadTest, AMissingFileIsAnErrorAndNoCheckpoint) {
  const CheckpointTask task = Stage(50);
  ASSERT_TRUE(fs_.RemoveAll(task.manifest.directory + "/" + CheckpointShardName(0, 1)).ok());

  const ManifestCommitted event = CommitCheckpointTask(fs_, task, QuickClock());

  EXPECT_THAT(event.error, HasSubstr(CheckpointShardName(0, 1)));
  EXPECT_EQ(event.checkpoint.version, 50);
  EXPECT_FALSE(fs_.Exists(root_ + "/" + CheckpointName(50, 3)));
}

TEST_F(CheckpointThreadTest, TheThreadAnswersEveryTask) {
  BoundedQueue<ManifestCommitted> answers(4);
  StillClock clock;
  CheckpointThread thread(&fs_, &clock,
                          [&](ManifestCommitted event) { answers.Push(std::move(event)); });

  ASSERT_TRUE(thread.Add(Stage(10)));
  ASSERT_TRUE(thread.Add(Stage(20)));

  EXPECT_EQ(answers.Pop()->checkpoint.version, 10);
  EXPECT_EQ(answers.Pop()->checkpoint.version, 20);
}

}  // namespace
}  // namespace drover
