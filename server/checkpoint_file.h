// Checkpoints: directories of shard files and one MANIFEST that appears last, by rename. Any number
// of shards can read what any other number wrote. Written by shards (WriteShardFile) into a staging
// directory, committed by the coordinator. Bytes in docs/formats.md. Thread-safe; two processes
// must not commit or prune under one root at once.

#ifndef DROVER_SERVER_CHECKPOINT_FILE_H_
#define DROVER_SERVER_CHECKPOINT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "server/checkpoint_manifest.h"
#include "server/shard_file.h"

namespace drover {

// Name of a committed checkpoint's directory under its root: "0000000000000050-3" (version, epoch).
std::string CheckpointName(int64_t version, uint32_t epoch);
// Of folders that are being written: no checkpoints yet.
inline constexpr std::string_view kStagingPrefix = ".tmp-";

// Name for a shard's file: "shard-1-of-3.bin".
std::string CheckpointShardName(uint32_t index, uint32_t count);

// Writes MANIFEST into `staging`, which holds exactly the manifest's files, and renames `staging`
// to `final`, both under one parent. When it returns OK the checkpoint survives a power loss; after
// an error `final` does not exist, or (only when the last sync of the parent failed) is whole.
Status CommitCheckpoint(FileSystem& fs, const std::string& staging, const std::string& final_path,
                        const Manifest& manifest);

// The manifest alone, verified; its files are not looked at.
Result<Manifest> ReadManifest(FileSystem& fs, const std::string& directory);

// Blocks `wanted` of the checkpoint into `arrays`: weights, then the rule's slots, each
// layout.SpanElements(wanted) float32, gaps between tensors zero. A null pointer skips its array.
// Reads and verifies only the segments it needs.
Status ReadCheckpointRange(FileSystem& fs, const std::string& directory, const Manifest& manifest,
                           const Layout& layout, BlockRange wanted,
                           const std::vector<float*>& arrays);

// Re-reads everything: manifest, every file, weights digest. kDataLoss with every fault named (at
// most 20); other codes when the disk could not be asked or a newer program wrote it.
Result<Manifest> VerifyCheckpoint(FileSystem& fs, const std::string& directory);

// Removes the oldest checkpoints under `root` until `keep` (at least 1) remain, but none unless a
// newer one has just been verified. The names removed.
Result<std::vector<std::string>> PruneCheckpoints(FileSystem& fs, const std::string& root,
                                                  size_t keep);

// SHA-256 over, for each tensor in layout order: its name, one zero byte, its rank as u32, each
// dimension as u64, then its elements as f32, all little-endian. Independent of shards and of
// everything in the manifest but tensors and files. For a staging directory or a committed one.
Result<std::string> WeightsDigest(FileSystem& fs, const std::string& directory,
                                  const Manifest& manifest);

}  // namespace drover

#endif  // DROVER_SERVER_CHECKPOINT_FILE_H_
