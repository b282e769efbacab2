// A file read once from start to end, plain or gzip, with errors that name it. Never blocks on a
// FIFO, never holds more than a fixed buffer beyond what the caller asks for. One thread.

#ifndef DROVER_WORKER_DATA_BYTE_SOURCE_H_
#define DROVER_WORKER_DATA_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/file_system.h"
#include "common/base/status.h"

namespace drover {

class ByteSource {
 public:
  // Errors of FileSystem::OpenUserFile, but kInvalidArgument when it is no regular file.
  // A file that begins with 1f 8b is gzip.
  static Result<std::unique_ptr<ByteSource>> Open(FileSystem& files, const std::string& path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  bool is_gzip() const { return is_gzip_; }
  uint64_t file_bytes() const { return file_bytes_; }  // As stored.

  // Exactly `size` bytes, or kDataLoss: the content ended before, or the gzip data are broken.
  Status Read(uint8_t* data, size_t size);

  // OK when the content ends here and, for gzip, its checksum holds and nothing follows.
  Status ExpectEnd();

 private:
  struct Inflater;

  ByteSource(std::string path, std::unique_ptr<ReadableFile> file);
  Status Error(Code code, const std::string& what) const;  // Names the path.
  Result<size_t> ReadFile(uint8_t* data, size_t size);     // Stored bytes; 0 at the end.
  // Content into `data` until it is full or the content ends.
  Result<size_t> ReadContent(uint8_t* data, size_t size);
  Result<size_t> Inflate(uint8_t* data, size_t size);

  const std::string path_;
  const std::unique_ptr<ReadableFile> file_;
  const uint64_t file_bytes_;
  uint64_t read_bytes_ = 0;  // Of them.
  bool is_gzip_ = false;
  uint64_t content_bytes_ = 0;  // Given out so far.
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_BYTE_SOURCE_H_
