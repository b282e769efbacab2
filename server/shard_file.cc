#include "server/shard_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/base/hash.h"
#include "common/base/quote.h"
#include "server/bytes.h"
#include "server/parent_directory.h"

namespace drover {
namespace {

constexpr char kMagic[] = "DRVRSHRD";
constexpr char kFooterMagic[] = "DRVR-END";
constexpr size_t kMagicBytes = 8;
constexpr uint32_t kFormatVersion = 1;
constexpr uint32_t kByteOrderMark = 0x01020304;
constexpr uint64_t kCrcBytes = 4;
constexpr size_t kRuleOffset = 80;
constexpr size_t kXxh3Offset = 16;  // In the footer.
constexpr size_t kXxh3Bytes = 32;

bool RuleIsValid(const std::string& rule) {
  return !rule.empty() && rule.size() <= kShardFileRuleBytesMax &&
         std::all_of(rule.begin(), rule.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

// What any writer and any reader demand of a header; `layout` may be another job's.
Status CheckHeader(const ShardFileHeader& header, const Layout& layout) {
  if (!RuleIsValid(header.rule)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("rule {}: expected 1 to 40 of a-z 0-9 _", Quote(header.rule)));
  }
  if (header.version < 0 || header.applied < 0 || header.applied > header.version) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("version {} with {} updates applied: expected 0 <= applied <= version",
                    header.version, header.applied));
  }
  if (header.slots > kShardFileSlotsMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} slots: expected at most {}", header.slots, kShardFileSlotsMax));
  }
  if (header.layout_hash != layout.hash()) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("of layout {:016x}: expected layout {:016x}", header.layout_hash,
                              layout.hash()));
  }
  if (header.blocks.begin > header.blocks.end || header.blocks.end > layout.block_count()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("blocks [{}, {}): the layout has {}", header.blocks.begin,
                              header.blocks.end, layout.block_count()));
  }
  return Status();
}

uint64_t PayloadBytes(const ShardFileHeader& header, const Layout& layout) {
  return layout.SpanElements(header.blocks) * sizeof(float) * (uint64_t{1} + header.slots);
}

uint64_t SegmentCount(uint64_t payload_bytes) {
  return (payload_bytes + kShardFileSegmentBytes - 1) / kShardFileSegmentBytes;
}

std::string EncodeHeader(const ShardFileHeader& header, const Layout& layout) {
  std::string bytes(kMagic, kMagicBytes);
  AppendInteger(kFormatVersion, &bytes);
  AppendInteger(kByteOrderMark, &bytes);
  AppendInteger(header.job, &bytes);
  AppendInteger(header.version, &bytes);
  AppendInteger(header.applied, &bytes);
  AppendInteger(header.layout_hash, &bytes);
  AppendInteger(header.blocks.begin, &bytes);
  AppendInteger(header.blocks.end, &bytes);
  AppendInteger(header.slots, &bytes);
  AppendInteger(static_cast<uint32_t>(kShardFileSegmentBytes), &bytes);
  AppendInteger(layout.SpanElements(header.blocks), &bytes);
  AppendInteger(ShardFileBytes(header, layout), &bytes);
  DROVER_CHECK(bytes.size() == kRuleOffset);
  bytes += header.rule;
  bytes.resize(kShardFileHeaderBytes - kCrcBytes, '\0');
  AppendInteger(Crc32c(bytes.data(), bytes.size()), &bytes);
  return bytes;
}

// A segment's crc starts from the header's crc and its own index, so that a segment of another file
// or from another place is a wrong one.
uint32_t SegmentCrcStart(uint32_t header_crc, uint64_t index) {
  std::string seed;
  AppendInteger(header_crc, &seed);
  AppendInteger(index, &seed);
  return Crc32c(seed.data(), seed.size());
}

std::string EncodeFooter(uint64_t file_bytes, const std::string& xxh3) {
  std::string bytes(kFooterMagic, kMagicBytes);
  AppendInteger(file_bytes, &bytes);
  bytes += xxh3;
  AppendInteger(Crc32c(bytes.data(), bytes.size()), &bytes);
  DROVER_CHECK(bytes.size() == kShardFileFooterBytes);
  return bytes;
}

// Appends to the file and to its hash.
class HashedFile {
 public:
  explicit HashedFile(std::unique_ptr<WritableFile> file) : file_(std::move(file)) {}

  Status Append(const void* data, size_t size) {
    hash_.Update(data, size);
    return file_->Append(data, size);
  }
  Status Append(const std::string& bytes) { return Append(bytes.data(), bytes.size()); }
  std::string Xxh3() const { return hash_.HexDigest(); }
  Status SyncAndClose() {
    DROVER_RETURN_IF_ERROR(file_->Sync());
    return file_->Close();
  }

 private:
  std::unique_ptr<WritableFile> file_;
  Hash128 hash_;
};

// The arrays one after the other, cut into segments where the arrays do not matter.
Status AppendSegments(const std::vector<const float*>& arrays, uint64_t array_bytes,
                      uint32_t header_crc, HashedFile* file) {
  const uint64_t payload_bytes = array_bytes * arrays.size();
  for (uint64_t index = 0; index < SegmentCount(payload_bytes); ++index) {
    uint32_t crc = SegmentCrcStart(header_crc, index);
    uint64_t at = index * kShardFileSegmentBytes;
    const uint64_t end = std::min(payload_bytes, at + kShardFileSegmentBytes);
    while (at < end) {
      const uint64_t in_array = at % array_bytes;
      const uint64_t size = std::min(end - at, array_bytes - in_array);
      const char* bytes = reinterpret_cast<const char*>(arrays[at / array_bytes]) + in_array;
      crc = Crc32c(bytes, size, crc);
      DROVER_RETURN_IF_ERROR(file->Append(bytes, size));
      at += size;
    }
    DROVER_RETURN_IF_ERROR(file->Append(&crc, sizeof(crc)));
  }
  return Status();
}

Result<WrittenFile> WriteNewFile(FileSystem& fs, const std::string& path,
                                 const ShardFileHeader& header, const Layout& layout,
                                 const std::vector<const float*>& arrays) {
  WrittenFile written;
  written.name = path.substr(path.rfind('/') + 1);
  written.bytes = ShardFileBytes(header, layout);
  Result<std::unique_ptr<WritableFile>> created = fs.Create(path, written.bytes);
  if (!created.ok()) return created.status();
  HashedFile file(std::move(created).value());
  const std::string head = EncodeHeader(header, layout);
  DROVER_RETURN_IF_ERROR(file.Append(head));
  DROVER_RETURN_IF_ERROR(AppendSegments(arrays, layout.SpanElements(header.blocks) * sizeof(float),
                                        IntegerAt<uint32_t>(head.data() + head.size() - kCrcBytes),
                                        &file));
  DROVER_RETURN_IF_ERROR(file.Append(EncodeFooter(written.bytes, file.Xxh3())));
  written.xxh3 = file.Xxh3();
  DROVER_RETURN_IF_ERROR(file.SyncAndClose());
  DROVER_RETURN_IF_ERROR(fs.SyncDirectory(ParentDirectory(path)));
  return written;
}

}  // namespace

uint64_t ShardFileBytes(const ShardFileHeader& header, const Layout& layout) {
  const uint64_t payload_bytes = PayloadBytes(header, layout);
  return kShardFileHeaderBytes + payload_bytes + SegmentCount(payload_bytes) * kCrcBytes +
         kShardFileFooterBytes;
}

Result<WrittenFile> WriteShardFile(FileSystem& fs, const std::string& path,
                                   const ShardFileHeader& header, const Layout& layout,
                                   const std::vector<const float*>& arrays) {
  DROVER_RETURN_IF_ERROR(CheckHeader(header, layout).Annotate("shard file " + Quote(path)));
  DROVER_CHECK(arrays.size() == uint64_t{1} + header.slots);
  if (fs.Exists(path)) {
    return Status(Code::kAlreadyExists,
                  fmt::format("shard file {} exists: choose a new name", Quote(path)));
  }
  Result<WrittenFile> written = WriteNewFile(fs, path, header, layout, arrays);
  if (!written.ok()) {
    // The write error is the one to tell; a file that stays is not in any manifest.
    const Status removed = fs.RemoveAll(path);
    return written.status().Annotate(removed.ok() ? "shard file removed" : "shard file left over");
  }
  return written;
}

Status ShardFileReader::Damaged(const std::string& what) const {
  return Status(Code::kDataLoss, fmt::format("shard file {}: {}", Quote(path_), what));
}

Result<std::unique_ptr<ShardFileReader>> ShardFileReader::Open(FileSystem& fs,
                                                               const std::string& path,
                                                               const Layout& layout) {
  std::unique_ptr<ShardFileReader> reader(new ShardFileReader());
  reader->path_ = path;
  Result<std::unique_ptr<ReadableFile>> file = fs.OpenForRead(path);
  if (!file.ok()) return file.status();
  reader->file_ = std::move(file).value();
  DROVER_RETURN_IF_ERROR(reader->ReadHeader(layout));
  std::string footer;
  DROVER_RETURN_IF_ERROR(reader->ReadFooter(&footer));
  return reader;
}

Status ShardFileReader::ReadHeader(const Layout& layout) {
  if (bytes() < kShardFileHeaderBytes + kShardFileFooterBytes) {
    return Damaged(fmt::format("{} bytes are too few", bytes()));
  }
  std::array<char, kShardFileHeaderBytes> head;
  DROVER_RETURN_IF_ERROR(file_->ReadAt(0, head.data(), head.size()));
  if (std::memcmp(head.data(), kMagic, kMagicBytes) != 0) return Damaged("not a shard file");
  header_crc_ = IntegerAt<uint32_t>(head.data() + head.size() - kCrcBytes);
  if (Crc32c(head.data(), head.size() - kCrcBytes) != header_crc_) {
    return Damaged("the header does not match its crc32c");
  }
  const char* at = head.data() + kMagicBytes;
  if (const uint32_t format = IntegerAt<uint32_t>(at); format != kFormatVersion) {
    return Status(Code::kUnimplemented,
                  fmt::format("shard file {}: format {}, this program reads {}: use a newer one",
                              Quote(path_), format, kFormatVersion));
  }
  if (IntegerAt<uint32_t>(at + 4) != kByteOrderMark)
    return Damaged("written in another byte order");
  header_.job = IntegerAt<uint64_t>(at + 8);
  header_.version = IntegerAt<int64_t>(at + 16);
  header_.applied = IntegerAt<int64_t>(at + 24);
  header_.layout_hash = IntegerAt<uint64_t>(at + 32);
  header_.blocks = {IntegerAt<uint32_t>(at + 40), IntegerAt<uint32_t>(at + 44)};
  header_.slots = IntegerAt<uint32_t>(at + 48);
  const char* rule = head.data() + kRuleOffset;
  header_.rule.assign(rule, strnlen(rule, kShardFileRuleBytesMax));
  const Status sound = CheckHeader(header_, layout);
  if (!sound.ok()) {
    return sound.code() == Code::kFailedPrecondition ? sound.Annotate("shard file " + Quote(path_))
                                                     : Damaged(sound.message());
  }
  // The fields that follow from the others, and the zeros: there is one right header.
  if (std::string_view(head.data(), head.size()) != EncodeHeader(header_, layout)) {
    return Damaged("its header contradicts itself or the layout");
  }
  span_elements_ = layout.SpanElements(header_.blocks);
  payload_bytes_ = PayloadBytes(header_, layout);
  if (const uint64_t expected = ShardFileBytes(header_, layout); bytes() != expected) {
    return Damaged(fmt::format("{} bytes long, expected {}", bytes(), expected));
  }
  return Status();
}

Status ShardFileReader::ReadFooter(std::string* footer) const {
  footer->resize(kShardFileFooterBytes);
  DROVER_RETURN_IF_ERROR(
      file_->ReadAt(bytes() - kShardFileFooterBytes, footer->data(), footer->size()));
  if (*footer != EncodeFooter(bytes(), footer->substr(kXxh3Offset, kXxh3Bytes))) {
    return Damaged("the footer is damaged");
  }
  return Status();
}

Status ShardFileReader::LoadSegment(uint64_t index) {
  if (index == segment_index_) return Status();
  segment_index_ = UINT64_MAX;
  const uint64_t payload =
      std::min(kShardFileSegmentBytes, payload_bytes_ - index * kShardFileSegmentBytes);
  segment_.resize(payload + kCrcBytes);
  const uint64_t offset = kShardFileHeaderBytes + index * (kShardFileSegmentBytes + kCrcBytes);
  DROVER_RETURN_IF_ERROR(file_->ReadAt(offset, segment_.data(), segment_.size()));
  const uint32_t crc = Crc32c(segment_.data(), payload, SegmentCrcStart(header_crc_, index));
  if (crc != IntegerAt<uint32_t>(segment_.data() + payload)) {
    return Damaged(fmt::format("segment {} at byte {} does not match its crc32c", index, offset));
  }
  segment_index_ = index;
  return Status();
}

Status ShardFileReader::Read(uint32_t array, uint64_t first, uint64_t count, float* out) {
  DROVER_CHECK(array <= header_.slots && first <= span_elements_ &&
               count <= span_elements_ - first);
  char* to = reinterpret_cast<char*>(out);
  uint64_t at = (array * span_elements_ + first) * sizeof(float);
  const uint64_t end = at + count * sizeof(float);
  while (at < end) {
    const uint64_t in_segment = at % kShardFileSegmentBytes;
    const uint64_t size = std::min(end - at, kShardFileSegmentBytes - in_segment);
    DROVER_RETURN_IF_ERROR(LoadSegment(at / kShardFileSegmentBytes));
    std::memcpy(to, segment_.data() + in_segment, size);
    to += size;
    at += size;
  }
  return Status();
}

Result<std::string> ShardFileReader::VerifyWhole() {
  // LoadSegment hands out what it has verified; header and footer are read once more.
  std::array<char, kShardFileHeaderBytes> head;
  DROVER_RETURN_IF_ERROR(file_->ReadAt(0, head.data(), head.size()));
  Hash128 hash;
  hash.Update(head.data(), head.size());
  for (uint64_t index = 0; index < SegmentCount(payload_bytes_); ++index) {
    DROVER_RETURN_IF_ERROR(LoadSegment(index));
    hash.Update(segment_.data(), segment_.size());
  }
  std::string footer;
  DROVER_RETURN_IF_ERROR(ReadFooter(&footer));
  if (footer.substr(kXxh3Offset, kXxh3Bytes) != hash.HexDigest()) {
    return Damaged("the XXH3 in the footer is not the content's");
  }
  hash.Update(footer.data(), footer.size());
  return hash.HexDigest();
}

Result<ShardFileHeader> ReadShardFile(FileSystem& fs, const std::string& path, const Layout& layout,
                                      BlockRange blocks, const std::vector<float*>& arrays) {
  Result<std::unique_ptr<ShardFileReader>> opened = ShardFileReader::Open(fs, path, layout);
  if (!opened.ok()) return opened.status();
  ShardFileReader& reader = *opened.value();
  const ShardFileHeader& header = reader.header();
  if (header.blocks != blocks || uint64_t{1} + header.slots != arrays.size()) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("shard file {} holds blocks [{}, {}) and {} slots: expected [{}, {}) "
                              "and {}",
                              Quote(path), header.blocks.begin, header.blocks.end, header.slots,
                              blocks.begin, blocks.end, arrays.size() - 1));
  }
  for (uint32_t array = 0; array < arrays.size(); ++array) {
    DROVER_RETURN_IF_ERROR(reader.Read(array, 0, layout.SpanElements(blocks), arrays[array]));
  }
  return header;
}

}  // namespace drover
