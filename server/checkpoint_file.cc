#include "server/checkpoint_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "server/checkpoint_reader.h"
#include "server/parent_directory.h"

namespace drover {
namespace {

constexpr size_t kFaultsMax = 20;
constexpr std::string_view kDoomed = ".old";  // Suffix of a directory that is being removed.

struct NamedCheckpoint {
  std::string name;
  int64_t version = 0;
  uint32_t epoch = 0;
};

// The version and epoch in a directory's name; none when CheckpointName did not make it.
std::optional<NamedCheckpoint> ParseName(const std::string& name) {
  NamedCheckpoint parsed;
  parsed.name = name;
  const size_t dash = name.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const char* const end = name.data() + name.size();
  if (std::from_chars(name.data(), name.data() + dash, parsed.version).ec != std::errc() ||
      std::from_chars(name.data() + dash + 1, end, parsed.epoch).ec != std::errc() ||
      CheckpointName(parsed.version, parsed.epoch) != name) {
    return std::nullopt;
  }
  return parsed;
}

// Newest first.
Result<std::vector<NamedCheckpoint>> ListCheckpointNames(FileSystem& fs, const std::string& root) {
  std::vector<NamedCheckpoint> found;
  const Result<std::vector<std::string>> names = fs.List(root);
  if (!names.ok()) {
    if (names.status().code() == Code::kNotFound) return found;
    return names.status();
  }
  for (const std::string& name : names.value()) {
    if (std::optional<NamedCheckpoint> parsed = ParseName(name)) found.push_back(*parsed);
  }
  std::sort(found.begin(), found.end(), [](const NamedCheckpoint& a, const NamedCheckpoint& b) {
    return std::pair(a.version, a.epoch) > std::pair(b.version, b.epoch);
  });
  return found;
}

// Whether an error says that the content is bad, rather than that it could not be read just now.
bool IsFaultOfContent(Code code) {
  switch (code) {
    case Code::kDataLoss:
    case Code::kNotFound:
    case Code::kOutOfRange:
    case Code::kInvalidArgument:
    case Code::kPermissionDenied:
    case Code::kFailedPrecondition:
      return true;
    default:
      return false;
  }
}

// Names in the directory that the manifest does not list.
Status CheckNoStrangers(FileSystem& fs, const std::string& directory, const Manifest& manifest) {
  const Result<std::vector<std::string>> names = fs.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : names.value()) {
    const bool listed =
        name == kManifestName ||
        std::any_of(manifest.files.begin(), manifest.files.end(),
                    [&name](const ManifestFile& file) { return file.name == name; });
    if (!listed) {
      return Status(Code::kDataLoss, fmt::format("file {} is not in the manifest", Quote(name)));
    }
  }
  return Status();
}

// Fully written, synced and closed, or an error.
Status WriteDurably(FileSystem& fs, const std::string& path, const std::string& content) {
  Result<std::unique_ptr<WritableFile>> file = fs.Create(path, content.size());
  if (!file.ok()) return file.status();
  DROVER_RETURN_IF_ERROR(file.value()->Append(content.data(), content.size()));
  DROVER_RETURN_IF_ERROR(file.value()->Sync());
  return file.value()->Close();
}

// What a pruning that was killed has left.
Status RemoveDoomed(FileSystem& fs, const std::string& root) {
  const Result<std::vector<std::string>> names = fs.List(root);
  if (!names.ok()) return names.status().code() == Code::kNotFound ? Status() : names.status();
  for (const std::string& name : names.value()) {
    if (!name.ends_with(kDoomed)) continue;
    if (!ParseName(name.substr(0, name.size() - kDoomed.size()))) continue;
    DROVER_RETURN_IF_ERROR(fs.RemoveAll(root + "/" + name));
  }
  return Status();
}

}  // namespace

std::string CheckpointName(int64_t version, uint32_t epoch) {
  return fmt::format("{:016d}-{}", version, epoch);
}

std::string CheckpointShardName(uint32_t index, uint32_t count) {
  return fmt::format("shard-{}-of-{}.bin", index, count);
}

Status CommitCheckpoint(FileSystem& fs, const std::string& staging, const std::string& final_path,
                        const Manifest& manifest) {
  DROVER_RETURN_IF_ERROR(CheckManifest(manifest).Annotate("checkpoint " + Quote(final_path)));
  if (fs.Exists(final_path)) {
    return Status(Code::kAlreadyExists,
                  fmt::format("checkpoint {} exists: never overwritten", Quote(final_path)));
  }
  const std::string path = staging + "/" + kManifestName;
  const std::string temporary = path + ".tmp";
  DROVER_RETURN_IF_ERROR(WriteDurably(fs, temporary, RenderManifest(manifest)));
  DROVER_RETURN_IF_ERROR(fs.Rename(temporary, path));
  DROVER_RETURN_IF_ERROR(fs.SyncDirectory(staging));
  DROVER_RETURN_IF_ERROR(fs.Rename(staging, final_path));
  return fs.SyncDirectory(ParentDirectory(final_path));
}

Result<Manifest> ReadManifest(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/" + kManifestName;
  const Result<std::string> text = fs.ReadWhole(path, kManifestBytesMax);
  if (!text.ok()) return text.status();
  Result<Manifest> manifest = ParseManifest(text.value());
  if (!manifest.ok()) return manifest.status().Annotate(Quote(directory));
  return manifest;
}

Status ReadCheckpointRange(FileSystem& fs, const std::string& directory, const Manifest& manifest,
                           const Layout& layout, BlockRange wanted,
                           const std::vector<float*>& arrays) {
  if (arrays.size() != uint64_t{1} + manifest.slots) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("checkpoint {} has {} slots: expected {}", Quote(directory),
                              manifest.slots, arrays.size() - 1));
  }
  Result<CheckpointReader> reader = CheckpointReader::Open(fs, directory, manifest, layout);
  if (!reader.ok()) return reader.status();
  return reader.value().Read(wanted, arrays);
}

Result<Manifest> VerifyCheckpoint(FileSystem& fs, const std::string& directory) {
  Result<Manifest> manifest = ReadManifest(fs, directory);
  if (!manifest.ok()) {
    const Status& status = manifest.status();
    if (!IsFaultOfContent(status.code())) return status;
    return Status(Code::kDataLoss, status.message());
  }
  const Result<Layout> layout = Layout::Make(manifest.value().tensors);
  DROVER_CHECK(layout.ok());  // ReadManifest has made it before.
  Result<CheckpointReader> reader =
      CheckpointReader::Open(fs, directory, manifest.value(), layout.value());
  if (!reader.ok()) return reader.status();

  std::vector<std::string> faults;
  std::vector<Status> results = {CheckNoStrangers(fs, directory, manifest.value())};
  for (size_t i = 0; i < manifest.value().files.size(); ++i) {
    results.push_back(reader.value().VerifyFile(i));
  }
  for (const Status& status : results) {
    if (status.ok()) continue;
    if (!IsFaultOfContent(status.code())) return status;
    faults.push_back(status.message());
  }
  if (faults.empty()) {
    const Result<std::string> digest = reader.value().WeightsDigest();
    if (!digest.ok()) return digest.status();
    if (digest.value() != manifest.value().weights_digest) {
      faults.push_back(fmt::format("weights digest {}, the manifest says {}", digest.value(),
                                   manifest.value().weights_digest));
    }
  }
  if (faults.empty()) return manifest;
  if (faults.size() > kFaultsMax) {
    const size_t more = faults.size() - kFaultsMax;
    faults.resize(kFaultsMax);
    faults.push_back(fmt::format("{} more faults", more));
  }
  return Status(Code::kDataLoss,
                fmt::format("checkpoint {}: {}", Quote(directory), fmt::join(faults, "; ")));
}

Result<std::vector<std::string>> PruneCheckpoints(FileSystem& fs, const std::string& root,
                                                  size_t keep) {
  DROVER_CHECK(keep >= 1);
  const Result<std::vector<NamedCheckpoint>> names = ListCheckpointNames(fs, root);
  if (!names.ok()) return names.status();
  DROVER_RETURN_IF_ERROR(RemoveDoomed(fs, root));
  std::vector<std::string> removed;
  bool newer_verified = false;
  for (size_t i = 0; i < names.value().size(); ++i) {
    const std::string path = root + "/" + names.value()[i].name;
    if (i >= keep && newer_verified) {
      // Out of sight first: a kill while the files go must not leave half a checkpoint behind.
      const std::string doomed = path + std::string(kDoomed);
      DROVER_RETURN_IF_ERROR(fs.Rename(path, doomed));
      DROVER_RETURN_IF_ERROR(fs.RemoveAll(doomed));
      removed.push_back(names.value()[i].name);
    } else if (!newer_verified && i + 1 < names.value().size() && names.value().size() > keep) {
      newer_verified = VerifyCheckpoint(fs, path).ok();
    }
  }
  return removed;
}

Result<std::string> WeightsDigest(FileSystem& fs, const std::string& directory,
                                  const Manifest& manifest) {
  const Result<Layout> layout = Layout::Make(manifest.tensors);
  if (!layout.ok()) return layout.status();
  Result<CheckpointReader> reader = CheckpointReader::Open(fs, directory, manifest, layout.value());
  if (!reader.ok()) return reader.status();
  return reader.value().WeightsDigest();
}

}  // namespace drover
