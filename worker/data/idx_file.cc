#include "worker/data/idx_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "worker/data/byte_source.h"

namespace drover {
namespace {

constexpr uint32_t kUnsignedByte = 0x08;
constexpr uint64_t kGzipRatioMax = 1100;
constexpr uint32_t kDimensionsMax = 3;
constexpr uint8_t kLabelMax = 9;

uint32_t BigEndian32(const uint8_t* bytes) {
  return (uint32_t{bytes[0]} << 24) | (uint32_t{bytes[1]} << 16) | (uint32_t{bytes[2]} << 8) |
         uint32_t{bytes[3]};
}

// Product of a shape whose extents are in bounds, or a Status that says which is not.
Result<uint64_t> ContentBytes(const std::string& path, const std::vector<uint32_t>& shape) {
  uint64_t bytes = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const uint64_t max = i == 0 ? kIdxBytesMax : kIdxSideMax;
    if (shape[i] == 0 || shape[i] > max) {
      return Status(Code::kInvalidArgument, fmt::format("{}: dimension {} is {}, expected 1 to {}",
                                                        Quote(path), i, shape[i], max));
    }
    bytes *= shape[i];  // At most 2^32 * 2^12 * 2^12.
  }
  if (bytes > kIdxBytesMax) {
    return Status(Code::kResourceExhausted,
                  fmt::format("{}: declares {} bytes, expected at most {}", Quote(path), bytes,
                              kIdxBytesMax));
  }
  return bytes;
}

// Whether a file of this size can hold what its header declares, before memory is given to it.
Status CheckDeclaredSize(const std::string& path, const ByteSource& source, uint64_t header_bytes,
                         uint64_t content_bytes) {
  const uint64_t declared = header_bytes + content_bytes;
  if (source.is_gzip()) {
    if (declared / kGzipRatioMax <= source.file_bytes()) return Status();
    return Status(Code::kResourceExhausted,
                  fmt::format("{}: {} bytes of gzip declare a content of {}, more than {} times as "
                              "much",
                              Quote(path), source.file_bytes(), declared, kGzipRatioMax));
  }
  if (declared == source.file_bytes()) return Status();
  return Status(Code::kDataLoss,
                fmt::format("{}: the header declares a file of {} bytes, found {} ({})",
                            Quote(path), declared, source.file_bytes(),
                            declared > source.file_bytes() ? "truncated" : "bytes follow"));
}

// "name" or "name.gz" in the directory, whichever exists; the first when none does.
std::string FindPlainOrGzip(FileSystem& files, const std::string& directory,
                            const std::string& name) {
  const std::string plain = directory + "/" + name;
  const std::string gzip = plain + ".gz";
  return !files.Exists(plain) && files.Exists(gzip) ? gzip : plain;
}

Result<IdxArray> ReadOneOfPair(FileSystem& files, const std::string& path, uint32_t dimensions) {
  Result<IdxArray> array = ReadIdxFile(files, path, dimensions);
  if (array.ok() || array.status().code() != Code::kNotFound) return array;
  return Status(Code::kNotFound, array.status().message() +
                                     " (nor with .gz; put MNIST's four files there, or use "
                                     "the synthetic digits)");
}

}  // namespace

Result<IdxArray> ReadIdxFile(FileSystem& files, const std::string& path, uint32_t dimensions) {
  DROVER_CHECK(dimensions >= 1 && dimensions <= kDimensionsMax);
  Result<std::unique_ptr<ByteSource>> opened = ByteSource::Open(files, path);
  if (!opened.ok()) return opened.status();
  ByteSource& source = *opened.value();

  std::array<uint8_t, 4 + 4 * kDimensionsMax> header{};
  const size_t header_bytes = 4 + 4 * size_t{dimensions};
  DROVER_RETURN_IF_ERROR(source.Read(header.data(), 4));
  const uint32_t magic = BigEndian32(header.data());
  const uint32_t magic_expected = (kUnsignedByte << 8) | dimensions;
  if (magic != magic_expected) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: expected an IDX file of unsigned bytes with {} dimension(s), "
                              "which begins with {:08x}, found {:08x}",
                              Quote(path), dimensions, magic_expected, magic));
  }
  DROVER_RETURN_IF_ERROR(source.Read(header.data() + 4, header_bytes - 4));
  IdxArray array;
  for (uint32_t i = 0; i < dimensions; ++i) {
    array.shape.push_back(BigEndian32(header.data() + 4 + 4 * size_t{i}));
  }
  Result<uint64_t> bytes = ContentBytes(path, array.shape);
  if (!bytes.ok()) return bytes.status();
  DROVER_RETURN_IF_ERROR(CheckDeclaredSize(path, source, header_bytes, bytes.value()));

  try {
    array.values.resize(bytes.value());
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted,
                  fmt::format("{}: no memory for {} bytes", Quote(path), bytes.value()));
  }
  DROVER_RETURN_IF_ERROR(source.Read(array.values.data(), array.values.size()));
  DROVER_RETURN_IF_ERROR(source.ExpectEnd());
  return array;
}

Result<std::unique_ptr<ImageDataset>> OpenIdxDataset(FileSystem& files,
                                                     const std::string& directory, Split split,
                                                     PixelScale scale) {
  const std::string prefix = split == Split::kTrain ? "train" : "t10k";
  const std::string labels_path = FindPlainOrGzip(files, directory, prefix + "-labels-idx1-ubyte");
  const std::string images_path = FindPlainOrGzip(files, directory, prefix + "-images-idx3-ubyte");
  Result<IdxArray> labels = ReadOneOfPair(files, labels_path, 1);
  if (!labels.ok()) return labels.status();
  Result<IdxArray> images = ReadOneOfPair(files, images_path, 3);
  if (!images.ok()) return images.status();

  const std::vector<uint32_t>& shape = images.value().shape;
  if (shape[0] != labels.value().shape[0]) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} holds {} images, but {} holds {} labels", Quote(images_path),
                              shape[0], Quote(labels_path), labels.value().shape[0]));
  }
  const std::vector<uint8_t>& values = labels.value().values;
  const auto bad =
      std::find_if(values.begin(), values.end(), [](uint8_t label) { return label > kLabelMax; });
  if (bad != values.end()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: label {} of sample {}, expected 0 to {}", Quote(labels_path),
                              *bad, bad - values.begin(), kLabelMax));
  }
  return std::make_unique<ImageDataset>(shape[1], shape[2], kLabelMax + 1,
                                        std::move(images.value().values),
                                        std::move(labels.value().values), scale);
}

}  // namespace drover
