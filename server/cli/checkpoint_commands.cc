#include "server/cli/checkpoint_commands.h"

#include <fmt/format.h>

#include "common/base/file_system.h"
#include "common/rpc/job_client.h"
#include "server/checkpoint_file.h"
#include "server/cli/exit_code.h"
#include "server/cli/format.h"
#include "server/safetensors.h"

namespace drover {
namespace {

// A folder with a manifest as it is; else the folder that the coordinator knows by this id.
Result<std::string> FindCheckpoint(const GlobalOptions& global, const std::string& checkpoint) {
  FileSystem& fs = FileSystem::Real();
  if (fs.Exists(checkpoint + "/" + kManifestName)) return checkpoint;
  if (checkpoint.find('/') != std::string::npos || fs.Exists(checkpoint)) {
    return Status(Code::kNotFound,
                  fmt::format("{}: expected the folder of a checkpoint, with a file {}", checkpoint,
                              kManifestName));
  }
  JobClient client(global.server, global.timeout);
  const Result<std::vector<v1::CheckpointInfo>> known = client.ListCheckpoints("");
  if (!known.ok()) {
    return known.status().Annotate(
        fmt::format("{} is no folder here, and as an id it needs the coordinator at {}", checkpoint,
                    global.server));
  }
  for (const v1::CheckpointInfo& info : known.value()) {
    if (info.id() == checkpoint) return info.path();
  }
  return Status(Code::kNotFound, fmt::format("no checkpoint {}", checkpoint));
}

}  // namespace

int ExportCheckpointCommand(const GlobalOptions& global, const std::string& checkpoint,
                            const std::string& out_path) {
  const Result<std::string> directory = FindCheckpoint(global, checkpoint);
  if (!directory.ok()) {
    return ReportError(directory.status(), "\"drover checkpoint list\" lists all checkpoints");
  }
  const Status exported = ExportSafetensors(FileSystem::Real(), directory.value(), out_path);
  if (!exported.ok()) return ReportError(exported);
  fmt::print("{}\n", out_path);
  fmt::print(stderr, "hint: python: safetensors.numpy.load_file(\"{}\")\n", out_path);
  return kExitOk;
}

int VerifyCheckpointCommand(const GlobalOptions& global, const std::string& checkpoint) {
  const Result<std::string> directory = FindCheckpoint(global, checkpoint);
  if (!directory.ok()) {
    return ReportError(directory.status(), "\"drover checkpoint list\" lists all checkpoints");
  }
  const Result<Manifest> manifest = VerifyCheckpoint(FileSystem::Real(), directory.value());
  if (!manifest.ok()) {
    ReportError(manifest.status(), "an older checkpoint may be whole: look beside it");
    return kExitFailed;
  }
  uint64_t bytes = 0;
  for (const ManifestFile& file : manifest.value().files) bytes += file.bytes;
  fmt::print("ok  {}  step {}  {} updates  {} in {} files  weights {}\n", manifest.value().job_name,
             manifest.value().version, manifest.value().applied,
             FormatBytes(static_cast<int64_t>(bytes)), manifest.value().files.size(),
             manifest.value().weights_digest);
  return kExitOk;
}

}  // namespace drover
