#include "server/shard/redo_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/base/logging.h"
#include "common/base/quote.h"
#include "server/bytes.h"

namespace drover {
namespace {

constexpr char kMagic[] = "DRVRREDO";
constexpr size_t kMagicBytes = 8;
constexpr uint32_t kFormatVersion = 2;
constexpr uint32_t kByteOrderMark = 0x01020304;
constexpr uint32_t kRecordMagic = 0x4f444552;  // "REDO".
constexpr uint64_t kHeaderBytes = 64;
constexpr uint64_t kRecordHeaderBytes = 32;
constexpr uint64_t kCrcBytes = 4;
constexpr uint64_t kStatsBytes = 48;
constexpr uint64_t kGradientHeadBytes = kStatsBytes + 8;  // Stats, count of chunks, zero.

std::string NameOf(int64_t base_version) { return fmt::format("redo-{:016d}.log", base_version); }

// The base version in a log's name; -1 when it is no log's.
int64_t BaseOf(const std::string& name) {
  constexpr size_t kPrefix = 5;
  int64_t base = -1;
  if (name.size() <= kPrefix) return -1;
  std::from_chars(name.data() + kPrefix, name.data() + name.size(), base);
  return base >= 0 && NameOf(base) == name ? base : -1;
}

void AppendCrc(std::string* bytes) { AppendInteger(Crc32c(bytes->data(), bytes->size()), bytes); }

bool IsZero(const char* bytes, size_t size) {
  return std::all_of(bytes, bytes + size, [](char c) { return c == 0; });
}

std::string EncodeHeader(uint64_t job, uint64_t layout_hash, BlockRange range,
                         int64_t base_version) {
  std::string bytes(kMagic, kMagicBytes);
  AppendInteger(kFormatVersion, &bytes);
  AppendInteger(kByteOrderMark, &bytes);
  AppendInteger(job, &bytes);
  AppendInteger(layout_hash, &bytes);
  AppendInteger(range.begin, &bytes);
  AppendInteger(range.end, &bytes);
  AppendInteger(base_version, &bytes);
  bytes.resize(kHeaderBytes - kCrcBytes, '\0');
  AppendCrc(&bytes);
  return bytes;
}

// `index` counts the records of the log: a record that is missing or stands twice is noticed.
std::string EncodeRecordHeader(RedoRecord::Type type, int64_t step, uint64_t payload_bytes,
                               uint32_t index) {
  std::string bytes;
  AppendInteger(kRecordMagic, &bytes);
  AppendInteger(static_cast<uint32_t>(type), &bytes);
  AppendInteger(step, &bytes);
  AppendInteger(payload_bytes, &bytes);
  AppendInteger(index, &bytes);
  AppendCrc(&bytes);
  return bytes;
}

std::span<const char> BytesOf(std::span<const float> elements) {
  return {reinterpret_cast<const char*>(elements.data()), elements.size_bytes()};
}

// Fills the gradient fields from a payload whose crc is right. False when its lengths disagree.
bool DecodeGradient(std::span<const char> payload, RedoRecord* record) {
  if (payload.size() < kGradientHeadBytes) return false;
  const char* bytes = payload.data();
  record->stats = {IntegerAt<int64_t>(bytes),
                   IntegerAt<int64_t>(bytes + 8),
                   IntegerAt<int64_t>(bytes + 16),
                   IntegerAt<int64_t>(bytes + 24),
                   {IntegerAt<int64_t>(bytes + 32), IntegerAt<uint64_t>(bytes + 40)}};
  const uint32_t count = IntegerAt<uint32_t>(bytes + kStatsBytes);
  uint64_t left = payload.size() - kGradientHeadBytes;
  if (left < uint64_t{count} * sizeof(uint64_t)) return false;
  left -= uint64_t{count} * sizeof(uint64_t);
  const char* const counts = bytes + kGradientHeadBytes;
  const char* elements = counts + uint64_t{count} * sizeof(uint64_t);
  for (uint32_t chunk = 0; chunk < count; ++chunk) {
    const uint64_t size = IntegerAt<uint64_t>(counts + chunk * sizeof(uint64_t));
    if (size > left / sizeof(float)) return false;
    // Aligned: the payload starts at an allocation, and all before the elements are words.
    record->chunks.emplace_back(reinterpret_cast<const float*>(elements), size);
    elements += size * sizeof(float);
    left -= size * sizeof(float);
  }
  return left == 0;
}

// Reads record after record from an open log.
class RecordReader {
 public:
  RecordReader(const ReadableFile& file, std::string path) : file_(file), path_(std::move(path)) {}

  enum class Found { kRecord, kEnd, kTorn };

  // The next record into `record`, which is valid until the next call.
  Result<Found> Next(RedoRecord* record) {
    const uint64_t left = file_.size() - end_;
    if (left == 0) return Found::kEnd;
    std::array<char, kRecordHeaderBytes> head = {};
    DROVER_RETURN_IF_ERROR(file_.ReadAt(end_, head.data(), std::min(left, kRecordHeaderBytes)));
    // A kill leaves a shorter file, a power loss perhaps zeros where bytes should be.
    if (left < kRecordHeaderBytes) return Found::kTorn;
    const uint64_t payload_bytes = IntegerAt<uint64_t>(head.data() + 16);
    const auto type = static_cast<RedoRecord::Type>(IntegerAt<uint32_t>(head.data() + 4));
    const int64_t step = IntegerAt<int64_t>(head.data() + 8);
    if (std::string_view(head.data(), head.size()) !=
        EncodeRecordHeader(type, step, payload_bytes, index_)) {
      const Result<bool> zeros = OnlyZerosLeft();
      if (!zeros.ok()) return zeros.status();
      return zeros.value() ? Result<Found>(Found::kTorn) : Damaged("its header is damaged");
    }
    if (payload_bytes > left - kRecordHeaderBytes ||
        left - kRecordHeaderBytes - payload_bytes < kCrcBytes) {
      return Found::kTorn;
    }
    payload_.resize(payload_bytes + kCrcBytes);
    DROVER_RETURN_IF_ERROR(
        file_.ReadAt(end_ + kRecordHeaderBytes, payload_.data(), payload_.size()));
    const uint64_t bytes = kRecordHeaderBytes + payload_.size();
    if (Crc32c(payload_.data(), payload_bytes) !=
        IntegerAt<uint32_t>(payload_.data() + payload_bytes)) {
      if (bytes == left) return Found::kTorn;
      return Damaged("its payload does not match its crc32c");
    }
    if (!Decode(type, step, {payload_.data(), payload_bytes}, record)) {
      return Damaged("its lengths disagree");
    }
    end_ += bytes;
    ++index_;
    return Found::kRecord;
  }

  uint64_t end() const { return end_; }  // Of the last good record.
  uint32_t index() const { return index_; }

 private:
  bool Decode(RedoRecord::Type type, int64_t step, std::span<const char> payload,
              RedoRecord* record) const {
    *record = RedoRecord{type, step, {}, {}, {}};
    switch (type) {
      case RedoRecord::Type::kGradient:
        return DecodeGradient(payload, record);
      case RedoRecord::Type::kCommit:
        record->commit_bytes.assign(payload.data(), payload.size());
        return true;
    }
    return false;
  }

  Result<bool> OnlyZerosLeft() const {
    std::vector<char> piece(size_t{1} << 20);
    for (uint64_t at = end_; at < file_.size(); at += piece.size()) {
      const size_t size = std::min<uint64_t>(piece.size(), file_.size() - at);
      DROVER_RETURN_IF_ERROR(file_.ReadAt(at, piece.data(), size));
      if (!IsZero(piece.data(), size)) return false;
    }
    return true;
  }

  Status Damaged(const char* what) const {
    return Status(Code::kDataLoss, fmt::format("redo log {}: record {} at byte {}: {}",
                                               Quote(path_), index_, end_, what));
  }

  const ReadableFile& file_;
  const std::string path_;
  std::vector<char> payload_;
  uint64_t end_ = kHeaderBytes;
  uint32_t index_ = 0;
};

}  // namespace

RedoLog::RedoLog(FileSystem& fs, std::string directory, uint64_t job, uint64_t layout_hash,
                 BlockRange range)
    : fs_(fs),
      directory_(std::move(directory)),
      job_(job),
      layout_hash_(layout_hash),
      range_(range) {}

Result<std::unique_ptr<RedoLog>> RedoLog::Open(FileSystem& fs, const std::string& directory,
                                               uint64_t job, uint64_t layout_hash,
                                               BlockRange range) {
  std::unique_ptr<RedoLog> log(new RedoLog(fs, directory, job, layout_hash, range));
  Result<std::vector<std::string>> names = log->ListLogs();
  if (!names.ok()) return names.status();
  for (const std::string& name : names.value()) {
    const Result<bool> adopted = log->Adopt(name);
    if (!adopted.ok()) return adopted.status();
    if (adopted.value()) break;
  }
  return log;
}

// Newest first.
Result<std::vector<std::string>> RedoLog::ListLogs() const {
  Result<std::vector<std::string>> names = fs_.List(directory_);
  if (!names.ok()) return names.status();
  std::vector<std::string> logs;
  for (const std::string& name : names.value()) {
    if (BaseOf(name) >= 0) logs.push_back(name);
  }
  std::reverse(logs.begin(), logs.end());
  return logs;
}

// False when a power loss has left nothing of the file but its name.
Result<bool> RedoLog::Adopt(const std::string& name) {
  Result<std::unique_ptr<ReadableFile>> file = fs_.OpenForRead(PathOf(name));
  if (!file.ok()) return file.status();
  std::array<char, kHeaderBytes> head = {};
  const uint64_t bytes = file.value()->size();
  DROVER_RETURN_IF_ERROR(file.value()->ReadAt(0, head.data(), std::min(bytes, kHeaderBytes)));
  if (bytes < kHeaderBytes || IsZero(head.data(), head.size())) return false;
  const std::string described = "redo log " + Quote(PathOf(name));
  if (std::memcmp(head.data(), kMagic, kMagicBytes) != 0 ||
      Crc32c(head.data(), kHeaderBytes - kCrcBytes) !=
          IntegerAt<uint32_t>(head.data() + kHeaderBytes - kCrcBytes)) {
    return Status(Code::kDataLoss, described + ": its header is damaged");
  }
  const int64_t base = BaseOf(name);
  if (std::string_view(head.data(), head.size()) !=
      EncodeHeader(job_, layout_hash_, range_, base)) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("{}: it belongs to another job, layout or range of blocks (or to "
                              "another version of this program): discard the directory",
                              described));
  }
  name_ = name;
  base_version_ = base;
  return true;
}

Result<RedoLog::ReplayReport> RedoLog::Replay(
    const std::function<Status(const RedoRecord&)>& consume) {
  DROVER_CHECK(!replayed_ && file_ == nullptr);
  ReplayReport report;
  if (name_.empty()) return report;
  report.base_version = base_version_;
  const std::string path = PathOf(name_);
  const Result<std::unique_ptr<ReadableFile>> file = fs_.OpenForRead(path);
  if (!file.ok()) return file.status();
  RecordReader reader(*file.value(), path);
  RedoRecord record;
  for (bool more = true; more;) {
    const Result<RecordReader::Found> found = reader.Next(&record);
    if (!found.ok()) return found.status();
    more = found.value() == RecordReader::Found::kRecord;
    if (more) DROVER_RETURN_IF_ERROR(consume(record));
  }
  report.records = reader.index();
  report.torn_bytes = file.value()->size() - reader.end();
  if (report.torn_bytes > 0) DROVER_RETURN_IF_ERROR(fs_.Truncate(path, reader.end()));
  Result<std::unique_ptr<WritableFile>> continued = fs_.OpenForAppend(path);
  if (!continued.ok()) return continued.status();
  file_ = std::move(continued).value();
  bytes_ = reader.end();
  records_ = reader.index();
  replayed_ = true;
  return report;
}

Status RedoLog::AppendGradient(int64_t step, const LeafStatsSum& stats,
                               std::span<const std::span<const float>> chunk_gradients) {
  std::string head;
  AppendInteger(stats.loss_fixed, &head);
  AppendInteger(stats.correct, &head);
  AppendInteger(stats.samples, &head);
  AppendInteger(stats.tokens, &head);
  AppendInteger(stats.squares.high, &head);
  AppendInteger(stats.squares.low, &head);
  AppendInteger(static_cast<uint32_t>(chunk_gradients.size()), &head);
  AppendInteger(uint32_t{0}, &head);
  for (const std::span<const float> chunk : chunk_gradients) {
    AppendInteger(static_cast<uint64_t>(chunk.size()), &head);
  }
  return Append(RedoRecord::Type::kGradient, step, head, chunk_gradients);
}

Status RedoLog::AppendCommit(int64_t step, const std::string& commit_bytes) {
  return Append(RedoRecord::Type::kCommit, step, commit_bytes, {});
}

Status RedoLog::Append(RedoRecord::Type type, int64_t step, const std::string& head,
                       std::span<const std::span<const float>> rest) {
  DROVER_RETURN_IF_ERROR(broken_);
  if (file_ == nullptr) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("redo log in {}: Replay or Restart comes first", Quote(directory_)));
  }
  const Status written = Write(type, step, head, rest);
  if (!written.ok()) {
    broken_ = written;
    file_.reset();
    // At the next start the cut-off record is a torn tail; without one, even better.
    const Status cut = fs_.Truncate(PathOf(name_), bytes_);
    if (!cut.ok()) LogWarning("redo log: half a record stays: {}", cut.message());
  }
  return written;
}

Status RedoLog::Write(RedoRecord::Type type, int64_t step, const std::string& head,
                      std::span<const std::span<const float>> rest) {
  uint64_t payload_bytes = head.size();
  uint32_t crc = Crc32c(head.data(), head.size());
  for (const std::span<const float> part : rest) payload_bytes += part.size_bytes();

  const std::string start = EncodeRecordHeader(type, step, payload_bytes, records_) + head;
  DROVER_RETURN_IF_ERROR(file_->Append(start.data(), start.size()));
  for (const std::span<const float> part : rest) {
    const std::span<const char> bytes = BytesOf(part);
    crc = Crc32c(bytes.data(), bytes.size(), crc);
    DROVER_RETURN_IF_ERROR(file_->Append(bytes.data(), bytes.size()));
  }
  DROVER_RETURN_IF_ERROR(file_->Append(&crc, sizeof(crc)));
  bytes_ += kRecordHeaderBytes + payload_bytes + kCrcBytes;
  ++records_;
  return Status();
}

Status RedoLog::Restart(int64_t base_version) {
  const std::string name = NameOf(base_version);
  const std::string temporary = PathOf(name) + ".tmp";
  const std::string header = EncodeHeader(job_, layout_hash_, range_, base_version);
  Result<std::unique_ptr<WritableFile>> file = fs_.Create(temporary, header.size());
  if (!file.ok()) return file.status();
  DROVER_RETURN_IF_ERROR(file.value()->Append(header.data(), header.size()));
  DROVER_RETURN_IF_ERROR(file.value()->Close());
  DROVER_RETURN_IF_ERROR(fs_.Rename(temporary, PathOf(name)));
  // From here on the new log is the one that a restart finds, whether or not this call succeeds.
  name_ = name;
  base_version_ = base_version;
  file_.reset();
  bytes_ = header.size();
  records_ = 0;
  replayed_ = true;
  broken_ = Status();
  file = fs_.OpenForAppend(PathOf(name));
  if (!file.ok()) {
    broken_ = file.status();
    return broken_;
  }
  file_ = std::move(file).value();
  RemoveOthers();
  return Status();
}

// What cannot be removed only takes space: the newest log wins, and the next Restart tries again.
void RedoLog::RemoveOthers() const {
  const Result<std::vector<std::string>> names = fs_.List(directory_);
  if (!names.ok()) return;
  for (const std::string& name : names.value()) {
    if (name == name_ || name.rfind("redo-", 0) != 0) continue;
    const Status removed = fs_.RemoveAll(PathOf(name));
    if (!removed.ok()) LogWarning("redo log: an old one stays: {}", removed.message());
  }
}

}  // namespace drover
