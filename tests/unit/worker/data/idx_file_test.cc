// IDX files and pairs, good and hostile. Every refusal names the file.

#include "worker/data/idx_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace drover {
namespace {

using testing::HasSubstr;

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string Header(uint32_t magic, const std::vector<uint32_t>& shape) {
  std::string bytes = BigEndian(magic);
  for (const uint32_t extent : shape) bytes += BigEndian(extent);
  return bytes;
}

constexpr uint32_t kImages = 0x00000803;
constexpr uint32_t kLabels = 0x00000801;

// Three images of 2 x 2.
std::string ThreeImages() { return Header(kImages, {3, 2, 2}) + "ABCDEFGHIJKL"; }
std::string ThreeLabels() { return Header(kLabels, {3}) + std::string("\x00\x09\x04", 3); }

std::string Gzip(const std::string& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, content.size()) + 64, '\0');
  std::string in = content;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class IdxFileTest : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = testing::TempDir() + "drover_idx_" + test->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << bytes;
    return directory_ + "/" + name;
  }

  // The status of reading these bytes as images; it must name the file.
  Status Refusal(const std::string& bytes) {
    const std::string path = Write("file", bytes);
    const Status status = ReadIdxFile(FileSystem::Real(), path, 3).status();
    EXPECT_THAT(status.message(), HasSubstr(path));
    return status;
  }

  std::string directory_;
};

TEST_F(IdxFileTest, ReadsPlainAndGzip) {
  for (const std::string& bytes : {ThreeImages(), Gzip(ThreeImages())}) {
    const Result<IdxArray> array = ReadIdxFile(FileSystem::Real(), Write("file", bytes), 3);

    ASSERT_TRUE(array.ok()) << array.status().ToString();
    EXPECT_EQ(array.value().shape, std::vector<uint32_t>({3, 2, 2}));
    EXPECT_EQ(std::string(array.value().values.begin(), array.value().values.end()),
              "ABCDEFGHIJKL");
  }
}

TEST_F(IdxFileTest, ReadsGzipLargerThanItsBuffers) {
  std::string bytes = Header(kImages, {1000, 28, 28});
  for (uint32_t i = 0; i < 784'000; ++i) bytes += static_cast<char>(i * 2'654'435'761u >> 24);

  const Result<IdxArray> array = ReadIdxFile(FileSystem::Real(), Write("file", Gzip(bytes)), 3);

  ASSERT_TRUE(array.ok()) << array.status().ToString();
  EXPECT_EQ(std::string(array.value().values.begin(), array.value().values.end()),
            bytes.substr(16));
}

TEST_F(IdxFileTest, RefusesWrongMagicTypeAndDimensions) {
  const auto refused = [this](uint32_t magic, const std::string& found) {
    const Status status = Refusal(Header(magic, {3, 2, 2}) + "ABCDEFGHIJKL");
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("begins with 00000803, found " + found));
  };
  refused(0x12345678, "12345678");
  refused(0x00000d03, "00000d03");  // float32
  refused(0x00000801, "00000801");  // labels
  refused(0x00000804, "00000804");
  refused(0x01000803, "01000803");
}

TEST_F(IdxFileTest, RefusesEmptyAndShortHeaders) {
  for (size_t size = 0; size < 16; ++size) {
    const Status status = Refusal(ThreeImages().substr(0, size));
    EXPECT_EQ(status.code(), Code::kDataLoss) << size;
    EXPECT_THAT(status.message(), HasSubstr("truncated")) << size;
  }
}

TEST_F(IdxFileTest, RefusesDimensionsOutOfBounds) {
  EXPECT_THAT(Refusal(Header(kImages, {0, 2, 2})).message(),
              HasSubstr("dimension 0 is 0, expected 1 to 4294967296"));
  EXPECT_THAT(Refusal(Header(kImages, {3, 0, 2})).message(), HasSubstr("dimension 1 is 0"));
  EXPECT_THAT(Refusal(Header(kImages, {3, 2, 4097})).message(),
              HasSubstr("dimension 2 is 4097, expected 1 to 4096"));
}

// The product of these wraps around 64 bits if extents are not bounded first.
TEST_F(IdxFileTest, RefusesSizesThatOverflowOrExceedTheLimit) {
  EXPECT_EQ(Refusal(Header(kImages, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF})).code(),
            Code::kInvalidArgument);
  const Status status = Refusal(Header(kImages, {0xFFFFFFFF, 4096, 4096}));
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("expected at most 4294967296"));
}

TEST_F(IdxFileTest, RefusesPlainContentOfAnotherSizeThanDeclared) {
  const Status truncated = Refusal(Header(kImages, {3, 2, 2}) + "ABCDEFGHIJK");
  EXPECT_EQ(truncated.code(), Code::kDataLoss);
  EXPECT_THAT(truncated.message(), HasSubstr("declares a file of 28 bytes, found 27 (truncated)"));
  const Status longer = Refusal(ThreeImages() + "M");
  EXPECT_EQ(longer.code(), Code::kDataLoss);
  EXPECT_THAT(longer.message(), HasSubstr("declares a file of 28 bytes, found 29 (bytes follow)"));
  // A header alone that declares 4 GiB must not allocate them.
  EXPECT_EQ(Refusal(Header(kImages, {1u << 28, 4, 4})).code(), Code::kDataLoss);
}

TEST_F(IdxFileTest, RefusesGzipContentOfAnotherSizeThanDeclared) {
  const Status truncated = Refusal(Gzip(ThreeImages().substr(0, 27)));
  EXPECT_EQ(truncated.code(), Code::kDataLoss);
  EXPECT_THAT(truncated.message(), HasSubstr("expected at least 28 bytes, found 27"));
  const Status longer = Refusal(Gzip(ThreeImages() + "M"));
  EXPECT_EQ(longer.code(), Code::kDataLoss);
  EXPECT_THAT(longer.message(), HasSubstr("expected to end after 28 bytes, found more"));
}

TEST_F(IdxFileTest, RefusesEveryTruncationOfAGzipFile) {
  const std::string whole = Gzip(ThreeImages());
  for (size_t size = 2; size < whole.size(); ++size) {
    const Status status = Refusal(whole.substr(0, size));
    EXPECT_EQ(status.code(), Code::kDataLoss) << size;
  }
}

TEST_F(IdxFileTest, RefusesDamagedGzip) {
  std::string checksum = Gzip(ThreeImages());
  checksum[checksum.size() - 8] ^= 1;
  EXPECT_THAT(Refusal(checksum).message(), HasSubstr("incorrect data check"));
  std::string length = Gzip(ThreeImages());
  length[length.size() - 1] ^= 1;
  EXPECT_THAT(Refusal(length).message(), HasSubstr("incorrect length check"));
  std::string header = Gzip(ThreeImages());
  header[2] = 9;
  EXPECT_THAT(Refusal(header).message(), HasSubstr("unknown compression method"));
  EXPECT_THAT(Refusal(Gzip(ThreeImages()) + "junk").message(),
              HasSubstr("expected nothing after the end of the gzip data"));
}

// 100 MB of zeros in 97 kB: the header says three images, so three are inflated and no more.
TEST_F(IdxFileTest, GzipBombCostsNoMoreThanItsHeaderDeclares) {
  const Status status = Refusal(Gzip(Header(kImages, {3, 2, 2}) + std::string(100'000'000, '\0')));

  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("expected to end after 28 bytes, found more"));
}

TEST_F(IdxFileTest, GzipThatDeclaresMoreThanDeflateCanHoldIsRefusedBeforeMemoryIsTaken) {
  const Status status = Refusal(Gzip(Header(kImages, {1u << 20, 64, 64}) + "ABC"));

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("declare a content of 4294967312"));
}

TEST_F(IdxFileTest, RefusesWhatIsNoRegularFileWithoutWaiting) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);

  const Status waiting = ReadIdxFile(FileSystem::Real(), fifo, 3).status();
  const Status directory = ReadIdxFile(FileSystem::Real(), directory_, 3).status();
  const Status device = ReadIdxFile(FileSystem::Real(), "/dev/zero", 3).status();
  const Status absent = ReadIdxFile(FileSystem::Real(), directory_ + "/absent", 3).status();

  EXPECT_EQ(waiting.code(), Code::kInvalidArgument);
  EXPECT_THAT(waiting.message(), HasSubstr(fifo + "\": expected a regular file"));
  EXPECT_EQ(directory.code(), Code::kInvalidArgument);
  EXPECT_EQ(device.code(), Code::kInvalidArgument);
  EXPECT_EQ(absent.code(), Code::kNotFound);
}

TEST_F(IdxFileTest, OpensAPairPlainOrGzip) {
  Write("train-images-idx3-ubyte.gz", Gzip(ThreeImages()));
  Write("train-labels-idx1-ubyte", ThreeLabels());
  Write("t10k-images-idx3-ubyte", ThreeImages());
  Write("t10k-labels-idx1-ubyte.gz", Gzip(ThreeLabels()));

  for (const Split split : {Split::kTrain, Split::kTest}) {
    const Result<std::unique_ptr<ImageDataset>> dataset =
        OpenIdxDataset(FileSystem::Real(), directory_, split);
    ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();
    EXPECT_EQ(dataset.value()->size(), 3u);
    EXPECT_EQ(dataset.value()->shape().elements(), 4);
    EXPECT_EQ(dataset.value()->shape().classes, 10);
    EXPECT_EQ(dataset.value()->labels()[1], 9);
    EXPECT_EQ(dataset.value()->pixels()[11], 'L');
  }
}

TEST_F(IdxFileTest, RefusesPairsThatDoNotMatch) {
  Write("train-images-idx3-ubyte", ThreeImages());
  Write("train-labels-idx1-ubyte", Header(kLabels, {2}) + std::string("\x00\x09", 2));

  const Status status = OpenIdxDataset(FileSystem::Real(), directory_, Split::kTrain).status();

  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("holds 3 images, but"));
  EXPECT_THAT(status.message(), HasSubstr("holds 2 labels"));
}

TEST_F(IdxFileTest, RefusesLabelsAboveNine) {
  Write("train-images-idx3-ubyte", ThreeImages());
  Write("train-labels-idx1-ubyte", Header(kLabels, {3}) + std::string("\x00\x01\x0a", 3));

  const Status status = OpenIdxDataset(FileSystem::Real(), directory_, Split::kTrain).status();

  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("label 10 of sample 2, expected 0 to 9"));
}

TEST_F(IdxFileTest, SaysWhatIsMissing) {
  const Status nothing = OpenIdxDataset(FileSystem::Real(), directory_, Split::kTest).status();
  Write("t10k-labels-idx1-ubyte", ThreeLabels());
  const Status images = OpenIdxDataset(FileSystem::Real(), directory_, Split::kTest).status();

  EXPECT_EQ(nothing.code(), Code::kNotFound);
  EXPECT_THAT(nothing.message(), HasSubstr("t10k-labels-idx1-ubyte"));
  EXPECT_EQ(images.code(), Code::kNotFound);
  EXPECT_THAT(images.message(), HasSubstr("t10k-images-idx3-ubyte"));
  EXPECT_THAT(images.message(), HasSubstr("or use the synthetic digits"));
}

// Any byte may be anything: each change must give an array or a Status, never a crash.
TEST_F(IdxFileTest, SurvivesEveryByteChanged) {
  for (const std::string& whole : {ThreeImages(), Gzip(ThreeImages())}) {
    for (size_t i = 0; i < whole.size(); ++i) {
      for (const int flip : {0x01, 0x80, 0xFF}) {
        std::string bytes = whole;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        const Result<IdxArray> array = ReadIdxFile(FileSystem::Real(), Write("file", bytes), 3);
        EXPECT_TRUE(!array.ok() || array.value().values.size() == 12) << i;
      }
    }
  }
}

}  // namespace
}  // namespace drover
