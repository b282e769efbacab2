// A file of scalars that TensorBoard reads. Own encoder of the four messages and the record format
// it needs; docs/formats.md has both. Pure; not thread-safe.
//
// Record: length u64 | masked CRC-32C of the length u32 | data | masked CRC-32C of the data u32,
// little-endian; masked(c) = rotate_right(c, 15) + 0xa282ead8. Data: one protobuf Event
// (wall_time = 1: double, step = 2: int64, file_version = 3: string, summary = 5: Summary), with
// Summary (value = 1, repeated) and Value (tag = 1: string, simple_value = 2: float).
// https://github.com/tensorflow/tensorflow: tensorflow/core/util/event.proto,
// framework/summary.proto and lib/io/record_writer.cc.

#ifndef DROVER_SERVER_CLI_EVENT_FILE_H_
#define DROVER_SERVER_CLI_EVENT_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/cli/metrics_columns.h"

namespace drover {

class EventFile {
 public:
  // With the first record, which names the version of the format. `unix_seconds` is its time.
  explicit EventFile(double unix_seconds);

  using Scalar = std::pair<std::string, float>;  // Tag, value.
  void Add(double unix_seconds, int64_t step, const std::vector<Scalar>& scalars);

  // All columns that have a tag. Rows without a time get that of the row before.
  void Add(const std::vector<MetricsRow>& rows);

  const std::string& bytes() const { return bytes_; }

 private:
  void AddRecord(std::string_view event);

  std::string bytes_;
  double last_time_;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_EVENT_FILE_H_
