#include "worker/data/byte_source.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "common/base/quote.h"

namespace drover {
namespace {

constexpr size_t kInputBytes = 256 * 1024;
constexpr size_t kOutputBytesMax = size_t{1} << 30;  // zlib counts in unsigned int.

}  // namespace

struct ByteSource::Inflater {
  Inflater() : input(kInputBytes) {}
  ~Inflater() {
    if (begun) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  bool begun = false;
  bool ended = false;  // Checksum and length at the end of the stream were right.
  std::vector<uint8_t> input;
};

ByteSource::ByteSource(std::string path, std::unique_ptr<ReadableFile> file)
    : path_(std::move(path)), file_(std::move(file)), file_bytes_(file_->size()) {}

ByteSource::~ByteSource() = default;

Result<std::unique_ptr<ByteSource>> ByteSource::Open(FileSystem& files, const std::string& path) {
  Result<std::unique_ptr<ReadableFile>> file = files.OpenUserFile(path);
  if (!file.ok()) {
    const Status& status = file.status();
    if (status.code() != Code::kFailedPrecondition) return status;
    return Status(Code::kInvalidArgument, status.message());
  }
  std::unique_ptr<ByteSource> source(new ByteSource(path, std::move(file).value()));

  std::array<uint8_t, 2> magic{};
  if (source->file_bytes_ >= magic.size()) {
    DROVER_RETURN_IF_ERROR(source->file_->ReadAt(0, magic.data(), magic.size()));
  }
  source->is_gzip_ = magic[0] == 0x1f && magic[1] == 0x8b;
  if (source->is_gzip_) {
    source->inflater_ = std::make_unique<Inflater>();
    // 16: a gzip header and checksum, nothing else.
    if (inflateInit2(&source->inflater_->stream, 16 + MAX_WBITS) != Z_OK) {
      return source->Error(Code::kResourceExhausted, "zlib has no memory to begin");
    }
    source->inflater_->begun = true;
  }
  return source;
}

Status ByteSource::Error(Code code, const std::string& what) const {
  return Status(code, fmt::format("{}: {}", Quote(path_), what));
}

Result<size_t> ByteSource::ReadFile(uint8_t* data, size_t size) {
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(size, file_bytes_ - read_bytes_));
  if (wanted == 0) return size_t{0};
  DROVER_RETURN_IF_ERROR(file_->ReadAt(read_bytes_, data, wanted));
  read_bytes_ += wanted;
  return wanted;
}

Result<size_t> ByteSource::Inflate(uint8_t* data, size_t size) {
  z_stream& stream = inflater_->stream;
  stream.next_out = data;
  stream.avail_out = static_cast<uInt>(size);
  while (stream.avail_out > 0 && !inflater_->ended) {
    if (stream.avail_in == 0) {
      Result<size_t> got = ReadFile(inflater_->input.data(), inflater_->input.size());
      if (!got.ok()) return got.status();
      if (got.value() == 0) {
        return Error(Code::kDataLoss,
                     fmt::format("the gzip data are truncated after {} bytes", file_bytes_));
      }
      stream.next_in = inflater_->input.data();
      stream.avail_in = static_cast<uInt>(got.value());
    }
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      inflater_->ended = true;
    } else if (code != Z_OK) {
      return Error(code == Z_MEM_ERROR ? Code::kResourceExhausted : Code::kDataLoss,
                   fmt::format("the gzip data are broken: {}",
                               stream.msg != nullptr ? stream.msg : zError(code)));
    }
  }
  return size - stream.avail_out;
}

Result<size_t> ByteSource::ReadContent(uint8_t* data, size_t size) {
  size_t done = 0;
  while (done < size) {
    const size_t wanted = std::min(size - done, kOutputBytesMax);
    Result<size_t> got = is_gzip_ ? Inflate(data + done, wanted) : ReadFile(data + done, wanted);
    if (!got.ok()) return got.status();
    if (got.value() == 0) break;
    done += got.value();
  }
  return done;
}

Status ByteSource::Read(uint8_t* data, size_t size) {
  Result<size_t> got = ReadContent(data, size);
  if (!got.ok()) return got.status();
  const uint64_t expected = content_bytes_ + size;
  content_bytes_ += got.value();
  if (got.value() == size) return Status();
  return Error(Code::kDataLoss, fmt::format("truncated: expected at least {} bytes, found {}",
                                            expected, content_bytes_));
}

Status ByteSource::ExpectEnd() {
  uint8_t extra = 0;
  Result<size_t> got = ReadContent(&extra, 1);
  if (!got.ok()) return got.status();
  if (got.value() != 0) {
    return Error(Code::kDataLoss,
                 fmt::format("expected to end after {} bytes, found more", content_bytes_));
  }
  if (!is_gzip_) return Status();
  got = inflater_->stream.avail_in > 0 ? Result<size_t>(1) : ReadFile(&extra, 1);
  if (!got.ok()) return got.status();
  if (got.value() == 0) return Status();
  return Error(Code::kDataLoss, "expected nothing after the end of the gzip data, found bytes");
}

}  // namespace drover
