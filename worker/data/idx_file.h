// IDX files, the format of MNIST and Fashion-MNIST (http://yann.lecun.com/exdb/mnist/), plain or
// gzip. Everything about the bytes is checked before memory is allocated for them. Thread-safe.
//
// Bytes, all integers big-endian:
//   0  u8 0, u8 0    always zero
//   2  u8 type       08: unsigned byte, the only one read here
//   3  u8 n          number of dimensions: 1 for labels, 3 for images
//   4  u32 size[n]   images: count, rows, columns; labels: count
//   4+4n             the values, the last dimension running fastest; then the file ends
//
// A header 00000803 0000ea60 0000001c 0000001c begins MNIST's training images: 60,000 of 28 x 28.
// A gzip file (1f 8b) is inflated as a stream into exactly the bytes its header declares, so that a
// small file cannot ask for more: neither than the limits below nor than 1,100 times its own size
// (deflate reaches 1,032:1).

#ifndef DROVER_WORKER_DATA_IDX_FILE_H_
#define DROVER_WORKER_DATA_IDX_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "worker/data/dataset.h"

namespace drover {

inline constexpr uint64_t kIdxBytesMax = uint64_t{4} << 30;  // Content of one file.
inline constexpr uint32_t kIdxSideMax = 4096;                // Rows, columns.

struct IdxArray {
  std::vector<uint32_t> shape;
  std::vector<uint8_t> values;  // As many as the product of `shape`.
};

// Reads an array of `dimensions` dimensions of unsigned bytes. Errors name the path, what was
// expected and what was found: kNotFound; kInvalidArgument for what is no such file (a directory, a
// FIFO, another type or dimension, sizes out of bounds); kDataLoss for damaged content (truncated,
// more bytes than declared, broken gzip); kResourceExhausted beyond the limits above.
Result<IdxArray> ReadIdxFile(FileSystem& files, const std::string& path, uint32_t dimensions);

// The pair train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-..., each plain or with
// ".gz" (plain is preferred), in `directory`. Ten classes. Errors as above; kInvalidArgument too
// when the counts differ or a label is above 9.
Result<std::unique_ptr<ImageDataset>> OpenIdxDataset(FileSystem& files,
                                                     const std::string& directory, Split split,
                                                     PixelScale scale = {});

}  // namespace drover

#endif  // DROVER_WORKER_DATA_IDX_FILE_H_
