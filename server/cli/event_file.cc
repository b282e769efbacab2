#include "server/cli/event_file.h"

#include <bit>

#include "common/base/crc32c.h"
#include "server/bytes.h"

namespace drover {
namespace {

// Types of fields in protobuf's encoding.
constexpr uint32_t kVarint = 0;
constexpr uint32_t kFixed64 = 1;
constexpr uint32_t kBytes = 2;
constexpr uint32_t kFixed32 = 5;

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>((value & 0x7f) | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendTag(uint32_t field, uint32_t type, std::string* out) {
  AppendVarint(field << 3 | type, out);
}

void AppendBytes(uint32_t field, std::string_view bytes, std::string* out) {
  AppendTag(field, kBytes, out);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

std::string EventHead(double unix_seconds) {
  std::string event;
  AppendTag(1, kFixed64, &event);
  AppendInteger(std::bit_cast<uint64_t>(unix_seconds), &event);
  return event;
}

uint32_t MaskedCrc(std::string_view bytes) {
  return std::rotr(Crc32c(bytes.data(), bytes.size()), 15) + 0xa282ead8U;
}

}  // namespace

EventFile::EventFile(double unix_seconds) : last_time_(unix_seconds) {
  std::string event = EventHead(unix_seconds);
  AppendBytes(3, "brain.Event:2", &event);
  AddRecord(event);
}

void EventFile::Add(double unix_seconds, int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const auto& [tag, number] : scalars) {
    std::string value;
    AppendBytes(1, tag, &value);
    AppendTag(2, kFixed32, &value);
    AppendInteger(std::bit_cast<uint32_t>(number), &value);
    AppendBytes(1, value, &summary);
  }
  std::string event = EventHead(unix_seconds);
  AppendTag(2, kVarint, &event);
  AppendVarint(static_cast<uint64_t>(step), &event);
  AppendBytes(5, summary, &event);
  AddRecord(event);
}

void EventFile::Add(const std::vector<MetricsRow>& rows) {
  for (const MetricsRow& row : rows) {
    const int64_t time =
        row.report != nullptr ? row.report->time_unix_ms() : row.evaluation->time_unix_ms();
    if (time != 0) last_time_ = static_cast<double>(time) / 1000.0;
    std::vector<Scalar> scalars;
    for (const MetricsColumn& column : MetricsColumns()) {
      if (*column.tag == '\0') continue;
      const MetricsValue value = column.value(row);
      if (const double* number = std::get_if<double>(&value)) {
        scalars.emplace_back(column.tag, static_cast<float>(*number));
      } else if (const int64_t* count = std::get_if<int64_t>(&value)) {
        scalars.emplace_back(column.tag, static_cast<float>(*count));
      }
    }
    if (!scalars.empty()) Add(last_time_, row.step, scalars);
  }
}

void EventFile::AddRecord(std::string_view event) {
  std::string length;
  AppendInteger(uint64_t{event.size()}, &length);
  bytes_ += length;
  AppendInteger(MaskedCrc(length), &bytes_);
  bytes_ += event;
  AppendInteger(MaskedCrc(event), &bytes_);
}

}  // namespace drover
