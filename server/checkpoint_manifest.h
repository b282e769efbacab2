// The MANIFEST of a checkpoint: what the checkpoint is, which files hold it, and the digest that
// proves the manifest itself. Canonical text, see docs/formats.md: equal manifests are equal bytes,
// and nothing else is accepted. Thread-safe.

#ifndef DROVER_SERVER_CHECKPOINT_MANIFEST_H_
#define DROVER_SERVER_CHECKPOINT_MANIFEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"

namespace drover {

inline constexpr char kManifestName[] = "MANIFEST";
inline constexpr uint64_t kManifestBytesMax = uint64_t{64} << 20;
inline constexpr size_t kManifestFilesMax = 4096;

struct ManifestFile {
  std::string name;  // [A-Za-z0-9_.-]{1,100}, no leading dot: a file beside the manifest.
  uint64_t bytes = 0;
  std::string xxh3;   // WrittenFile::xxh3.
  BlockRange blocks;  // Ascending; together all blocks of the layout, each once.

  friend bool operator==(const ManifestFile&, const ManifestFile&) = default;
};

struct Manifest {
  uint64_t job = 0;
  std::string job_name;  // As in the job file, [A-Za-z0-9_-]{1,63}.
  int64_t version = 0;   // Steps tried before these weights.
  int64_t applied = 0;   // Updates applied before these weights.
  uint32_t epoch = 0;    // That wrote it.
  std::string rule;
  uint32_t slots = 0;
  std::string spec_digest;     // SHA-256 of the job's specification; empty when unknown.
  std::string numeric_class;   // Printable ASCII, at most 200; empty before the first worker.
  std::string weights_digest;  // WeightsDigest of the weights: required.
  uint64_t created_unix_ms = 0;
  std::vector<TensorSpec> tensors;  // The layout.
  std::vector<ManifestFile> files;

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// kInvalidArgument naming the field when the manifest breaks a rule above.
Status CheckManifest(const Manifest& manifest);

// The file's bytes, its own SHA-256 in the last line. The manifest passes CheckManifest.
std::string RenderManifest(const Manifest& manifest);

// kDataLoss naming the first fault; kUnimplemented when a newer program wrote it.
Result<Manifest> ParseManifest(const std::string& text);

}  // namespace drover

#endif  // DROVER_SERVER_CHECKPOINT_MANIFEST_H_
