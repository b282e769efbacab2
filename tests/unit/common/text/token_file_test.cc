// Token files: the bytes of docs/formats.md, and hostile ones. Every refusal names the file.

#include "common/text/token_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "common/base/crc32c.h"
#include "tests/support/faulty_file_system.h"
#include "tests/unit/common/text/text_directory.h"

namespace drover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TokenTextInfo InfoOf(int32_t vocabulary_size) {
  TokenTextInfo info;
  info.vocabulary_size = vocabulary_size;
  info.lowercase = true;
  info.vocabulary_hash = "0123456789abcdef0123456789abcdef";
  return info;
}

// Two documents: {5 6} {7}, and {8 1 5}.
TokenText Example(int32_t vocabulary_size = 9) {
  TokenText text(InfoOf(vocabulary_size));
  text.AddSentence(std::vector<int32_t>{5, 6});
  text.AddSentence(std::vector<int32_t>{7});
  text.EndDocument();
  text.AddSentence(std::vector<int32_t>{8, 1, 5});
  text.EndDocument();
  return text;
}

std::vector<int32_t> AllTokens(const TokenText& text) {
  std::vector<int32_t> tokens(text.tokens());
  text.CopyTokens(0, tokens.size(), tokens.data());
  return tokens;
}

class TokenFileTest : public testing::Test {
 protected:
  std::string Write(const TokenText& text) {
    const Status status = WriteTokenFile(FileSystem::Real(), directory_.File("a.tokens"), text);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return directory_.Read("a.tokens");
  }
  Result<TokenText> Read(const std::string& bytes) {
    return ReadTokenFile(FileSystem::Real(), directory_.Write("file", bytes));
  }
  Status Refusal(const std::string& bytes) {
    const Result<TokenText> text = Read(bytes);
    EXPECT_FALSE(text.ok());
    if (!text.ok()) {
      EXPECT_THAT(text.status().message(), HasSubstr(directory_.File("file")));
    }
    return text.status();
  }
  // The bytes with both checksums right again.
  static std::string Sealed(std::string bytes) {
    const uint32_t payload = Crc32c(bytes.data() + 128, bytes.size() - 128);
    std::memcpy(bytes.data() + 120, &payload, 4);
    const uint32_t header = Crc32c(bytes.data(), 124);
    std::memcpy(bytes.data() + 124, &header, 4);
    return bytes;
  }
  template <typename T>
  static std::string With(std::string bytes, size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
    return Sealed(std::move(bytes));
  }

  TextDirectory directory_;
};

TEST_F(TokenFileTest, RoundTripsBothWidths) {
  for (const int32_t vocabulary_size : {9, 65'536, 65'537}) {
    const TokenText text = Example(vocabulary_size);
    const std::string bytes = Write(text);
    EXPECT_EQ(bytes.size(), 128u + 8 * (3 + 4) + 6 * (vocabulary_size > 65'536 ? 4 : 2));

    const Result<TokenText> read = Read(bytes);

    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read.value().info(), text.info());
    EXPECT_THAT(read.value().document_starts(), ElementsAre(0, 2, 3));
    EXPECT_THAT(read.value().sentence_starts(), ElementsAre(0, 2, 3, 6));
    EXPECT_THAT(AllTokens(read.value()), ElementsAre(5, 6, 7, 8, 1, 5));
  }
}

TEST_F(TokenFileTest, KeepsTheLargestIds) {
  for (const int32_t vocabulary_size : {65'536, 65'537, 1 << 20}) {
    TokenText text(InfoOf(vocabulary_size));
    text.AddSentence(std::vector<int32_t>{vocabulary_size - 1});
    text.EndDocument();
    EXPECT_THAT(AllTokens(Read(Write(text)).value()), ElementsAre(vocabulary_size - 1));
  }
}

TEST(TokenTextTest, EmptySentencesAndDocumentsLeaveNoTrace) {
  TokenText text(InfoOf(9));
  text.EndDocument();
  text.AddSentence({});
  text.EndDocument();
  EXPECT_EQ(text.documents(), 0u);
  EXPECT_EQ(text.sentences(), 0u);
  EXPECT_EQ(text.tokens(), 0u);
}

// The example of docs/formats.md, as tests/golden/checkpoint_formats.py writes it.
TEST_F(TokenFileTest, WritesTheDocumentedBytes) {
  std::string hex;
  for (const char byte : Write(Example())) hex += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  EXPECT_EQ(hex,
            "44525652544f4b530100000004030201c40000000000000002000000090000000000000001000000"
            "02000000030000000400000001000000020000000000000003000000000000000600000000000000"
            "30313233343536373839616263646566303132333435363738396162636465660000000000000000"
            "cef64fb399a4502f0000000000000000020000000000000003000000000000000000000000000000"
            "020000000000000003000000000000000600000000000000050006000700080001000500");
}

TEST_F(TokenFileTest, RefusesEveryTruncationAndBytesThatFollow) {
  const std::string bytes = Write(Example());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Refusal(bytes.substr(0, size)).code(), Code::kDataLoss) << size;
  }
  EXPECT_THAT(Refusal(bytes + "x").message(), HasSubstr("bytes follow"));
}

TEST_F(TokenFileTest, RefusesEveryFlippedBit) {
  const std::string bytes = Write(Example());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    EXPECT_FALSE(Refusal(flipped).ok()) << i;
  }
}

TEST_F(TokenFileTest, RefusesOtherFilesAndVersions) {
  const std::string bytes = Write(Example());
  const Status other = Refusal("DRVRSHRD" + bytes.substr(8));
  EXPECT_EQ(other.code(), Code::kInvalidArgument);
  EXPECT_THAT(other.message(), HasSubstr("no token file"));
  const Status version = Refusal(With<uint32_t>(bytes, 8, 2));
  EXPECT_EQ(version.code(), Code::kInvalidArgument);
  EXPECT_THAT(version.message(), HasSubstr("format 2"));
}

// Headers and contents that lie although their checksums are right.
TEST_F(TokenFileTest, RefusesAbsurdValues) {
  const std::string bytes = Write(Example());
  ASSERT_TRUE(Read(Sealed(bytes)).ok());
  const auto refused = [&](const std::string& forged, const std::string& why) {
    const Status status = Refusal(forged);
    EXPECT_EQ(status.code(), Code::kDataLoss) << why;
    EXPECT_THAT(status.message(), HasSubstr(why));
  };
  refused(With<uint64_t>(bytes, 16, 1 << 30), "declares a file");
  refused(With<uint32_t>(bytes, 24, 4), "bytes per token is 4, expected 2");
  refused(With<uint32_t>(bytes, 24, 0), "bytes per token is 0, expected 2");
  refused(With<uint32_t>(bytes, 28, 5), "vocabulary's size is 5");
  refused(With<uint32_t>(bytes, 28, 0xFFFFFFFF), "vocabulary's size is 4294967295");
  refused(With<uint32_t>(bytes, 28, 8), "a token outside the vocabulary of 8");
  refused(With<uint32_t>(bytes, 36, 9), "special token is 9");
  refused(With<uint32_t>(bytes, 36, 0), "special token is 0");
  refused(With<uint32_t>(bytes, 48, 8), "a special one");
  refused(With<uint32_t>(bytes, 52, 2), "flags is 2");
  refused(With<uint64_t>(bytes, 56, 0), "0 documents");
  refused(With<uint64_t>(bytes, 56, 4), "4 documents, 3 sentences");
  refused(With<uint64_t>(bytes, 64, 7), "7 sentences, 6 tokens");
  refused(With<uint64_t>(bytes, 72, UINT64_MAX), "tokens");
  refused(With<uint64_t>(bytes, 72, uint64_t{1} << 48), "truncated");
  refused(With<uint64_t>(bytes, 112, 1), "byte 112");
  refused(With<uint64_t>(bytes, 128, 1), "do not follow");  // First document.
  refused(With<uint64_t>(bytes, 136, 0), "do not follow");  // An empty one.
  refused(With<uint64_t>(bytes, 136, 1 << 20), "do not follow");
  refused(With<uint64_t>(bytes, 144, 2), "do not follow");  // End of the last.
  refused(With<uint64_t>(bytes, 160, 3), "do not follow");  // An empty sentence.
  refused(With<uint16_t>(bytes, bytes.size() - 2, 9), "a token outside the vocabulary of 9");
  refused(With<uint16_t>(bytes, bytes.size() - 2, 4), "a special one");
}

TEST_F(TokenFileTest, MissingFilesAndFoldersAreNamed) {
  FileSystem& fs = FileSystem::Real();
  EXPECT_EQ(ReadTokenFile(fs, directory_.File("none")).status().code(), Code::kNotFound);
  EXPECT_FALSE(ReadTokenFile(fs, directory_.path()).ok());
  EXPECT_FALSE(WriteTokenFile(fs, directory_.File("none/a"), Example()).ok());
}

// Whatever operation fails, the old file is still there, whole, and nothing lies beside it.
TEST_F(TokenFileTest, AFailedWriteLeavesTheOldFile) {
  const std::string old = Write(Example());
  FaultyFileSystem faulty(FileSystem::Real());
  int number = 1;
  for (;; ++number) {
    faulty.BreakAt(number, FaultyFileSystem::Fault::kDiskFull);
    const Status status = WriteTokenFile(faulty, directory_.File("a.tokens"), Example(65'537));
    if (status.ok()) break;
    const std::string now = directory_.Read("a.tokens");
    const bool renamed = now.size() > old.size();  // Only the folder's sync came after that.
    EXPECT_TRUE(now == old || (renamed && Read(now).ok())) << number;
    EXPECT_FALSE(FileSystem::Real().Exists(directory_.File("a.tokens.tmp"))) << number;
  }
  EXPECT_GE(number, 6);
  EXPECT_EQ(Read(directory_.Read("a.tokens")).value().info().vocabulary_size, 65'537);
}

}  // namespace
}  // namespace drover
