#include "server/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/checkpoint_fixture.h"

namespace drover {
namespace {

class SafetensorsTest : public CheckpointFixture {
 protected:
  std::string Out() const { return root_ + "/weights.safetensors"; }
};

// Parses with a JSON library, as the format's page describes it.
TEST_F(SafetensorsTest, AnIndependentReaderFindsEveryElement) {
  const TestJob job = MediumJob();
  const std::string directory = Commit(job, 3);

  const Status status = ExportSafetensors(fs_, directory, Out());

  ASSERT_TRUE(status.ok()) << status.ToString();
  const std::string file = ReadFile(Out());
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < 8; ++i) {
    header_bytes |= uint64_t{static_cast<unsigned char>(file[i])} << (8 * i);
  }
  ASSERT_LE(header_bytes, file.size() - 8);
  EXPECT_EQ(header_bytes % 8, 0u);
  const nlohmann::json header = nlohmann::json::parse(file.substr(8, header_bytes));
  const std::string data = file.substr(8 + header_bytes);
  EXPECT_EQ(header.size(), job.layout.tensors().size() + 1);
  EXPECT_EQ(header["__metadata__"]["version"], "50");
  EXPECT_EQ(header["__metadata__"]["weights_digest"],
            ReadManifest(fs_, directory).value().weights_digest);
  uint64_t end_before = 0;
  for (size_t t = 0; t < job.layout.tensors().size(); ++t) {
    const TensorSpec& tensor = job.layout.tensors()[t];
    const nlohmann::json& entry = header[tensor.name];
    EXPECT_EQ(entry["dtype"], "F32");
    EXPECT_EQ(entry["shape"].get<std::vector<int64_t>>(), tensor.shape);
    const uint64_t begin = entry["data_offsets"][0];
    const uint64_t end = entry["data_offsets"][1];
    EXPECT_EQ(begin, end_before);  // No holes, in order.
    ASSERT_EQ(end - begin, job.layout.tensor_size(t) * 4);
    ASSERT_LE(end, data.size());
    EXPECT_EQ(std::memcmp(data.data() + begin, job.arrays[0].data() + job.layout.tensor_offset(t),
                          end - begin),
              0)
        << tensor.name;
    end_before = end;
  }
  EXPECT_EQ(end_before, data.size());
}

TEST_F(SafetensorsTest, ABadCheckpointIsNotExported) {
  const std::string directory = Commit(SmallJob(), 1);
  std::string bytes = ReadFile(directory + "/shard-0-of-1.bin");
  bytes[200] = static_cast<char>(bytes[200] ^ 1);
  WriteFile(directory + "/shard-0-of-1.bin", bytes);

  EXPECT_EQ(ExportSafetensors(fs_, directory, Out()).code(), Code::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(Out()));
}

TEST_F(SafetensorsTest, AFailureAtAnyOperationLeavesNothingOrTheWholeFile) {
  const std::string directory = Commit(SmallJob(), 2);
  ASSERT_TRUE(ExportSafetensors(fs_, directory, Out()).ok());
  const std::string whole = ReadFile(Out());
  FaultyFileSystem fs(fs_);
  int point = 1;
  for (bool reached = true; reached; ++point) {
    std::filesystem::remove(Out());
    fs.BreakAt(point, FaultyFileSystem::Fault::kDiskFull);
    const Status status = ExportSafetensors(fs, directory, Out());
    reached = fs.count() >= point;
    EXPECT_EQ(status.ok(), !reached) << "operation " << point;
    EXPECT_FALSE(std::filesystem::exists(Out() + ".tmp")) << "operation " << point;
    if (std::filesystem::exists(Out())) {
      EXPECT_EQ(ReadFile(Out()), whole);
    }
  }
  EXPECT_GE(point, 9);
}

TEST_F(SafetensorsTest, TheNameThatTheFormatReservesIsRefused) {
  const std::string directory = Commit(TestJob({{"__metadata__", {4}, {}}}), 1);
  EXPECT_EQ(ExportSafetensors(fs_, directory, Out()).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace drover
