// One shard's part of a checkpoint, or its local snapshot: weights and optimizer state of a range
// of blocks in one file that proves itself whole. Bytes in docs/formats.md. Knows no directories of
// checkpoints (checkpoint_file.h). Functions: thread-safe. ShardFileReader: one thread.

#ifndef DROVER_SERVER_SHARD_FILE_H_
#define DROVER_SERVER_SHARD_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "common/tensor/layout.h"

namespace drover {

inline constexpr uint64_t kShardFileHeaderBytes = 128;
inline constexpr uint64_t kShardFileSegmentBytes = uint64_t{4} << 20;  // Of payload, without crc.
inline constexpr uint64_t kShardFileFooterBytes = 52;
inline constexpr uint32_t kShardFileSlotsMax = 16;
inline constexpr size_t kShardFileRuleBytesMax = 40;

struct ShardFileHeader {
  uint64_t job = 0;
  int64_t version = 0;  // Steps tried before these weights.
  int64_t applied = 0;  // Updates applied before these weights; the rule's t.
  uint64_t layout_hash = 0;
  BlockRange blocks;   // May be empty: a shard without blocks writes a file all the same.
  std::string rule;    // [a-z0-9_]{1,40}.
  uint32_t slots = 0;  // State arrays beside the weights.

  friend bool operator==(const ShardFileHeader&, const ShardFileHeader&) = default;
};

struct WrittenFile {
  std::string name;  // Last part of the path.
  uint64_t bytes = 0;
  std::string xxh3;  // XXH3-128 of the whole file, 32 hexadecimal digits, as xxh128sum prints.
};

// Size of the file with this header, which fits the layout.
uint64_t ShardFileBytes(const ShardFileHeader& header, const Layout& layout);

// Writes a new file and makes it durable. `arrays`: weights, then `slots` state arrays, each of
// layout.SpanElements(header.blocks) float32. kAlreadyExists when the path is taken; after any
// other error the file is removed, and the caller chooses a new name for its next try.
Result<WrittenFile> WriteShardFile(FileSystem& fs, const std::string& path,
                                   const ShardFileHeader& header, const Layout& layout,
                                   const std::vector<const float*>& arrays);

// Reads parts of one shard file; every segment is verified before a byte of it is handed out.
class ShardFileReader {
 public:
  // Checks length, header, and that header and layout fit. kDataLoss when bytes are damaged,
  // kUnimplemented when a newer program wrote them, kFailedPrecondition for another layout.
  static Result<std::unique_ptr<ShardFileReader>> Open(FileSystem& fs, const std::string& path,
                                                       const Layout& layout);

  const ShardFileHeader& header() const { return header_; }
  uint64_t bytes() const { return file_->size(); }

  // Elements [first, first + count) of array `array` (0 weights, then slots), counted from the
  // first element of the file's range.
  Status Read(uint32_t array, uint64_t first, uint64_t count, float* out);

  // Every byte of the file: segments, footer and both hashes. The XXH3-128 of the file.
  Result<std::string> VerifyWhole();

 private:
  ShardFileReader() = default;
  Status ReadHeader(const Layout& layout);
  Status ReadFooter(std::string* footer) const;  // Its own crc and length checked.
  Status LoadSegment(uint64_t index);            // Into segment_, verified.
  Status Damaged(const std::string& what) const;

  std::string path_;
  std::unique_ptr<ReadableFile> file_;
  ShardFileHeader header_;
  uint32_t header_crc_ = 0;
  uint64_t span_elements_ = 0;
  uint64_t payload_bytes_ = 0;
  std::vector<char> segment_;  // Payload and crc of the segment read last.
  uint64_t segment_index_ = UINT64_MAX;
};

// The whole file, verified, into `arrays` (weights, then slots; float32 as WriteShardFile takes
// them). kFailedPrecondition when it holds other blocks or another number of slots.
Result<ShardFileHeader> ReadShardFile(FileSystem& fs, const std::string& path, const Layout& layout,
                                      BlockRange blocks, const std::vector<float*>& arrays);

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_FILE_H_
