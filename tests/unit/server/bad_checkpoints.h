// Checkpoints that are damaged or hostile, each in its own way; for the tests of those who read
// them. One thread.

#ifndef DROVER_TESTS_UNIT_SERVER_BAD_CHECKPOINTS_H_
#define DROVER_TESTS_UNIT_SERVER_BAD_CHECKPOINTS_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/digest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/checkpoint_fixture.h"

namespace drover {

// Each spoils a good checkpoint of two shards in its own way.
struct BadCheckpoint {
  const char* name;
  const char* fault;  // In the message.
  std::function<void(const std::string& directory)> spoil;
  Code code = Code::kDataLoss;
};

inline void Edit(const std::string& path, const std::function<void(std::string&)>& edit) {
  std::string bytes = ReadFile(path);
  edit(bytes);
  WriteFile(path, bytes);
}

inline void Flip(const std::string& path, int64_t at) {
  Edit(path, [at](std::string& bytes) {
    char& byte = bytes[static_cast<size_t>(at < 0 ? at + static_cast<int64_t>(bytes.size()) : at)];
    byte = static_cast<char>(byte ^ 4);
  });
}

inline std::string Resigned(const std::string& text, const std::string& from,
                            const std::string& to) {
  std::string body = text.substr(0, text.find("sha256 "));
  body.replace(body.find(from), from.size(), to);
  Sha256 digest;
  digest.Update(body.data(), body.size());
  return body + "sha256 " + digest.HexDigest() + "\n";
}

// Puts a word into the header of a shard file, and the crc that the header then has, as a newer
// program or a big-endian machine would write it.
inline void SetHeaderWord(const std::string& path, size_t at, uint32_t value) {
  Edit(path, [=](std::string& bytes) {
    std::memcpy(bytes.data() + at, &value, 4);
    // Bit by bit.
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < 124; ++i) {
      crc ^= static_cast<unsigned char>(bytes[i]);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    }
    crc ^= 0xffffffff;
    std::memcpy(bytes.data() + 124, &crc, 4);
  });
}

inline std::vector<BadCheckpoint> BadCheckpoints() {
  const std::string a = "/shard-0-of-2.bin";
  const std::string b = "/shard-1-of-2.bin";
  const std::string m = "/MANIFEST";
  const auto sign = [m](const std::string& from, const std::string& to) {
    return [=](const std::string& d) { WriteFile(d + m, Resigned(ReadFile(d + m), from, to)); };
  };
  return {
      {"ShardTruncatedByAByte", "too short|damaged|bytes long",
       [=](const std::string& d) { Edit(d + a, [](std::string& x) { x.pop_back(); }); }},
      {"ShardTruncatedInHeader", "too few",
       [=](const std::string& d) { Edit(d + a, [](std::string& x) { x.resize(50); }); }},
      {"ShardOfZeroBytes", "too few", [=](const std::string& d) { WriteFile(d + a, ""); }},
      {"ShardWithExtraBytes", "bytes long",
       [=](const std::string& d) { Edit(d + b, [](std::string& x) { x += "more"; }); }},
      {"FlipInHeader", "header", [=](const std::string& d) { Flip(d + a, 40); }},
      {"FlipInMagic", "not a shard file", [=](const std::string& d) { Flip(d + a, 0); }},
      {"FlipInSegment", "segment 0 at byte 128", [=](const std::string& d) { Flip(d + a, 200); }},
      {"FlipInSegmentCrc", "segment 0", [=](const std::string& d) { Flip(d + a, -53); }},
      {"FlipInFooter", "footer", [=](const std::string& d) { Flip(d + a, -20); }},
      {"FlipInManifest", "digest in its last line", [=](const std::string& d) { Flip(d + m, 30); }},
      {"ManifestTruncated", "last line",
       [=](const std::string& d) { Edit(d + m, [](std::string& x) { x.resize(100); }); }},
      {"ManifestOfZeroBytes", "last line", [=](const std::string& d) { WriteFile(d + m, ""); }},
      {"ManifestMissing", "MANIFEST",
       [=](const std::string& d) { std::filesystem::remove(d + m); }},
      {"SwappedShardFiles", "another one than the manifest means",
       [=](const std::string& d) {
         std::filesystem::rename(d + a, d + "/x");
         std::filesystem::rename(d + b, d + a);
         std::filesystem::rename(d + "/x", d + b);
       }},
      {"DuplicateShard", "another one than the manifest means",
       [=](const std::string& d) { WriteFile(d + b, ReadFile(d + a)); }},
      {"MissingShard", "shard-1-of-2.bin",
       [=](const std::string& d) { std::filesystem::remove(d + b); }},
      {"StrangerInTheDirectory", "shard-2-of-2.bin",
       [](const std::string& d) { WriteFile(d + "/shard-2-of-2.bin", "x"); }},
      {"NewerShardFile", "newer|version", [=](const std::string& d) { SetHeaderWord(d + a, 8, 2); },
       Code::kUnimplemented},
      {"OtherByteOrder", "another byte order",
       [=](const std::string& d) { SetHeaderWord(d + a, 12, 0x04030201); }},
      // Sizes are checked before memory is taken.
      {"ShardOfTwoBillionSlots", "shard-0-of-2",
       [=](const std::string& d) { SetHeaderWord(d + a, 56, 0x7fffffff); }},
      {"ShardOfTooManyBlocks", "shard-0-of-2",
       [=](const std::string& d) { SetHeaderWord(d + a, 52, 0xffffffff); }},
      {"NewerManifest", "use a newer one", sign("checkpoint 1", "checkpoint 2"),
       Code::kUnimplemented},
      {"ManifestNamesParent", "file name", sign("file shard-0", "file ../shard-0")},
      {"ManifestNamesAbsolutePath", "file name", sign("file shard-0", "file /shard-0")},
      {"ManifestOfABillionFiles", "expected a line", sign("files 2", "files 1000000000")},
      {"ManifestOfAnotherJob", "another one than the manifest means",
       sign("job 0000000000abcdef", "job 0000000000abcdee")},
      {"ManifestOfAnotherVersion", "another one than the manifest means",
       sign("version 50", "version 51")},
      {"ManifestWithAnotherDigest", "weights digest",
       [=](const std::string& d) {
         const std::string digest = ReadManifest(FileSystem::Real(), d).value().weights_digest;
         WriteFile(d + m, Resigned(ReadFile(d + m), digest, std::string(64, '0')));
       }},
      {"SymlinkedManifest", "symbolic link",
       [=](const std::string& d) {
         std::filesystem::rename(d + m, d + "/../outside");
         std::filesystem::create_symlink(d + "/../outside", d + m);
       }},
      {"SymlinkedShard", "symbolic link",
       [=](const std::string& d) {
         std::filesystem::rename(d + a, d + "/../outside");
         std::filesystem::create_symlink(d + "/../outside", d + a);
       }},
      {"ShardIsADirectory", "regular file",
       [=](const std::string& d) {
         std::filesystem::remove(d + a);
         std::filesystem::create_directory(d + a);
       }},
      {"ShardIsAFifo", "regular file",
       [=](const std::string& d) {
         std::filesystem::remove(d + a);
         ASSERT_EQ(mkfifo((d + a).c_str(), 0600), 0);
       }},
  };
}

// Answers every opening of a shard file with one error, as a wrong mode or a dying disk does.
class ClosedDisk : public FaultyFileSystem {
 public:
  ClosedDisk(FileSystem& base, Code code) : FaultyFileSystem(base), code_(code) {}
  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override {
    return Status(code_, "injected: cannot open " + path);
  }

 private:
  const Code code_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_BAD_CHECKPOINTS_H_
