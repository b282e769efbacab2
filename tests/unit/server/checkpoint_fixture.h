// A small job with known weights, written as a checkpoint by any number of shards; for the tests of
// this folder. One thread.

#ifndef DROVER_TESTS_UNIT_SERVER_CHECKPOINT_FIXTURE_H_
#define DROVER_TESTS_UNIT_SERVER_CHECKPOINT_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "server/checkpoint_file.h"

namespace drover {

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

// Removes the file first: some file systems sync a file that is truncated and written again.
inline void WriteFile(const std::string& path, const std::string& content) {
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << content;
}

// Weights and two slots over the whole parameter space; gaps between tensors are zero.
struct TestJob {
  explicit TestJob(std::vector<TensorSpec> tensors)
      : layout(Layout::Make(std::move(tensors)).value()), arrays(3) {
    std::mt19937 random(7);
    for (std::vector<float>& array : arrays) {
      array.assign(layout.SpanElements(layout.all_blocks()), 0.0f);
      for (const Block& block : layout.blocks()) {
        for (uint32_t i = 0; i < block.size; ++i) {
          array[block.offset + i] = static_cast<float>(random()) * 0x1p-32f - 0.5f;
        }
      }
    }
  }

  ShardFileHeader HeaderOf(BlockRange blocks) const {
    return {/*job=*/0xabcdef, /*version=*/50, /*applied=*/48, layout.hash(), blocks, "lamb",
            /*slots=*/2};
  }

  std::vector<const float*> From(BlockRange blocks) const {
    const uint64_t offset = blocks.size() == 0 ? 0 : layout.SpanOffset(blocks);
    return {arrays[0].data() + offset, arrays[1].data() + offset, arrays[2].data() + offset};
  }

  // Writes the shard files and the staging directory; the manifest to commit.
  Manifest Stage(FileSystem& fs, const std::string& staging, uint32_t shards) const {
    Manifest manifest;
    manifest.job = 0xabcdef;
    manifest.job_name = "digits-lamb";
    manifest.version = 50;
    manifest.applied = 48;
    manifest.epoch = 3;
    manifest.rule = "lamb";
    manifest.slots = 2;
    manifest.spec_digest = std::string(64, 'e');
    manifest.numeric_class = "cpu onednn-2.6.3 avx512_core f32";
    manifest.created_unix_ms = 1'700'000'000'000;
    manifest.tensors = layout.tensors();
    EXPECT_TRUE(fs.MakeDirectories(staging).ok());
    const std::vector<BlockRange> ranges = layout.Place(shards);
    for (uint32_t shard = 0; shard < shards; ++shard) {
      const Result<WrittenFile> written =
          WriteShardFile(fs, staging + "/" + CheckpointShardName(shard, shards),
                         HeaderOf(ranges[shard]), layout, From(ranges[shard]));
      EXPECT_TRUE(written.ok()) << written.status().ToString();
      if (!written.ok()) return manifest;
      manifest.files.push_back(
          {written.value().name, written.value().bytes, written.value().xxh3, ranges[shard]});
    }
    const Result<std::string> digest = WeightsDigest(fs, staging, manifest);
    EXPECT_TRUE(digest.ok()) << digest.status().ToString();
    if (digest.ok()) manifest.weights_digest = digest.value();
    return manifest;
  }

  Layout layout;
  std::vector<std::vector<float>> arrays;
};

// Four tensors, eight blocks, each tensor ends in a gap.
inline TestJob MediumJob() {
  const InitRule uniform = {InitRule::Kind::kUniform, 0.05f};
  return TestJob({{"layer1/weight", {300, 401}, uniform},
                  {"layer1/bias", {7}, {}},
                  {"layer2.weight", {3, 65537}, uniform},
                  {"c", {17}, {}}});
}

inline TestJob SmallJob() {
  return TestJob(
      {{"a", {5, 3}, {InitRule::Kind::kUniform, 0.5f}}, {"b", {40}, {}}, {"c", {3}, {}}});
}

class CheckpointFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "checkpoint_test_" + std::to_string(getpid());
    Clear();
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Clear() {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }

  // A committed checkpoint; its directory.
  std::string Commit(const TestJob& job, uint32_t shards, int64_t version = 50,
                     uint32_t epoch = 3) {
    const std::string staging = root_ + "/.tmp-1";
    Manifest manifest = job.Stage(fs_, staging, shards);
    manifest.version = version;
    manifest.epoch = epoch;
    if (version != 50) Restage(job, staging, &manifest);
    const std::string directory = root_ + "/" + CheckpointName(version, epoch);
    const Status status = CommitCheckpoint(fs_, staging, directory, manifest);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return directory;
  }

  FileSystem& fs_ = FileSystem::Real();
  std::string root_;

 private:
  // The same weights as another version.
  void Restage(const TestJob& job, const std::string& staging, Manifest* manifest) {
    for (ManifestFile& file : manifest->files) {
      const std::string path = staging + "/" + file.name;
      std::filesystem::remove(path);
      ShardFileHeader header = job.HeaderOf(file.blocks);
      header.version = manifest->version;
      const Result<WrittenFile> written =
          WriteShardFile(fs_, path, header, job.layout, job.From(file.blocks));
      ASSERT_TRUE(written.ok()) << written.status().ToString();
      file.xxh3 = written.value().xxh3;
    }
  }
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_CHECKPOINT_FIXTURE_H_
