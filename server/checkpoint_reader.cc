#include "server/checkpoint_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/digest.h"
#include "common/base/quote.h"
#include "server/bytes.h"

namespace drover {
namespace {

constexpr uint32_t kPieceBlocks = 16;

}  // namespace

CheckpointReader::CheckpointReader(FileSystem& fs, const std::string& directory,
                                   const Manifest& manifest, const Layout& layout)
    : fs_(&fs),
      directory_(&directory),
      manifest_(&manifest),
      layout_(&layout),
      files_(manifest.files.size()) {}

Result<CheckpointReader> CheckpointReader::Open(FileSystem& fs, const std::string& directory,
                                                const Manifest& manifest, const Layout& layout) {
  if (manifest.tensors != layout.tensors()) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("checkpoint {} has another layout than the job", Quote(directory)));
  }
  uint32_t covered = 0;
  for (const ManifestFile& file : manifest.files) {
    if (file.blocks.begin != covered || file.blocks.end < covered) break;
    covered = file.blocks.end;
  }
  if (covered != layout.block_count()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("checkpoint {}: its files do not hold every block once, in order",
                              Quote(directory)));
  }
  return CheckpointReader(fs, directory, manifest, layout);
}

Result<ShardFileReader*> CheckpointReader::FileAt(size_t index) {
  if (files_[index] != nullptr) return files_[index].get();
  const ManifestFile& listed = manifest_->files[index];
  Result<std::unique_ptr<ShardFileReader>> opened =
      ShardFileReader::Open(*fs_, *directory_ + "/" + listed.name, *layout_);
  if (!opened.ok()) return opened.status();
  const ShardFileHeader& header = opened.value()->header();
  if (header.job != manifest_->job || header.version != manifest_->version ||
      header.applied != manifest_->applied || header.rule != manifest_->rule ||
      header.slots != manifest_->slots || header.blocks != listed.blocks ||
      opened.value()->bytes() != listed.bytes) {
    return Status(
        Code::kDataLoss,
        fmt::format("shard file {} is another one than the manifest means: job {:016x}, version "
                    "{}, applied {}, rule {}, {} slots, blocks [{}, {}), {} bytes",
                    Quote(listed.name), header.job, header.version, header.applied, header.rule,
                    header.slots, header.blocks.begin, header.blocks.end, opened.value()->bytes()));
  }
  files_[index] = std::move(opened).value();
  return files_[index].get();
}

Status CheckpointReader::Read(BlockRange wanted, const std::vector<float*>& arrays) {
  DROVER_CHECK(wanted.begin <= wanted.end && wanted.end <= layout_->block_count());
  if (wanted.size() == 0) return Status();
  const uint64_t origin = layout_->SpanOffset(wanted);
  for (size_t i = 0; i < manifest_->files.size(); ++i) {
    const BlockRange& held = manifest_->files[i].blocks;
    const BlockRange both = {std::max(held.begin, wanted.begin), std::min(held.end, wanted.end)};
    if (both.begin >= both.end) continue;
    Result<ShardFileReader*> file = FileAt(i);
    if (!file.ok()) return file.status();
    const uint64_t first = layout_->SpanOffset(both) - layout_->SpanOffset(held);
    for (uint32_t array = 0; array < arrays.size(); ++array) {
      if (arrays[array] == nullptr) continue;
      DROVER_RETURN_IF_ERROR(
          file.value()->Read(array, first, layout_->SpanElements(both),
                             arrays[array] + layout_->SpanOffset(both) - origin));
    }
  }
  // The gap between the last block of one file and the first of the next is in neither.
  const std::vector<Block>& blocks = layout_->blocks();
  for (uint32_t b = wanted.begin; b + 1 < wanted.end; ++b) {
    const uint64_t gap_begin = blocks[b].offset + blocks[b].size;
    for (float* array : arrays) {
      if (array == nullptr) continue;
      std::fill(array + gap_begin - origin, array + blocks[b + 1].offset - origin, 0.0f);
    }
  }
  return Status();
}

Status CheckpointReader::VerifyFile(size_t index) {
  const ManifestFile& listed = manifest_->files[index];
  Result<ShardFileReader*> file = FileAt(index);
  if (!file.ok()) return file.status();
  const Result<std::string> xxh3 = file.value()->VerifyWhole();
  if (!xxh3.ok()) return xxh3.status();
  if (xxh3.value() == listed.xxh3) return Status();
  return Status(Code::kDataLoss, fmt::format("shard file {} has XXH3 {}, the manifest says {}",
                                             Quote(listed.name), xxh3.value(), listed.xxh3));
}

Status CheckpointReader::ForEachPiece(
    size_t tensor, const std::function<Status(const float*, uint64_t)>& consume) {
  const BlockRange all = layout_->tensor_blocks(tensor);
  std::vector<float> piece;
  std::vector<float*> arrays(uint64_t{1} + manifest_->slots, nullptr);
  for (uint32_t begin = all.begin; begin < all.end; begin += kPieceBlocks) {
    const BlockRange range = {begin, std::min(all.end, begin + kPieceBlocks)};
    piece.resize(layout_->SpanElements(range));
    arrays[0] = piece.data();
    DROVER_RETURN_IF_ERROR(Read(range, arrays));
    DROVER_RETURN_IF_ERROR(consume(piece.data(), piece.size()));
  }
  return Status();
}

Result<std::string> CheckpointReader::WeightsDigest() {
  Sha256 digest;
  for (size_t t = 0; t < layout_->tensors().size(); ++t) {
    const TensorSpec& tensor = layout_->tensors()[t];
    std::string head = tensor.name;
    head += '\0';
    AppendInteger(static_cast<uint32_t>(tensor.shape.size()), &head);
    for (const int64_t extent : tensor.shape) {
      AppendInteger(static_cast<uint64_t>(extent), &head);
    }
    digest.Update(head.data(), head.size());
    DROVER_RETURN_IF_ERROR(ForEachPiece(t, [&digest](const float* elements, uint64_t count) {
      digest.Update(elements, count * sizeof(float));
      return Status();
    }));
  }
  return digest.HexDigest();
}

}  // namespace drover
