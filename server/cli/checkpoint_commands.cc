#include "server/cli/checkpoint_commands.h"

#include <fmt/format.h>

#include <optional>

#include "common/base/file_system.h"
#include "common/rpc/job_client.h"
#include "server/checkpoint_file.h"
#include "server/cli/bert_config.h"
#include "server/cli/exit_code.h"
#include "server/cli/file_text.h"
#include "server/cli/format.h"
#include "server/parent_directory.h"
#include "server/safetensors.h"

namespace drover {
namespace {

constexpr double kDropoutDefault = 0.1;  // The job file's: training from here goes on alike.
constexpr uint64_t kConfigBytesMax = 1 << 20;

struct FoundCheckpointFolder {
  std::string directory;
  std::string job;  // Its id when the coordinator was asked, else empty.
};

// A folder with a manifest as it is; else the folder that the coordinator knows by this id.
Result<FoundCheckpointFolder> FindCheckpoint(const GlobalOptions& global,
                                             const std::string& checkpoint) {
  FileSystem& fs = FileSystem::Real();
  if (fs.Exists(checkpoint + "/" + kManifestName)) return FoundCheckpointFolder{checkpoint, ""};
  if (checkpoint.find('/') != std::string::npos || fs.Exists(checkpoint)) {
    return Status(Code::kNotFound,
                  fmt::format("{}: expected the folder of a checkpoint, with a file {}", checkpoint,
                              kManifestName));
  }
  JobClient client(global.server, global.timeout, global.security);
  const Result<std::vector<v1::CheckpointInfo>> known = client.ListCheckpoints("");
  if (!known.ok()) {
    return known.status().Annotate(
        fmt::format("{} is no folder here, and as an id it needs the coordinator at {}", checkpoint,
                    global.server));
  }
  for (const v1::CheckpointInfo& info : known.value()) {
    if (info.id() == checkpoint) return FoundCheckpointFolder{info.path(), info.job_id()};
  }
  return Status(Code::kNotFound, fmt::format("no checkpoint {}", checkpoint));
}

// The model of the job whose checkpoint was asked for by id; nothing for a folder.
v1::Bert BertOf(const GlobalOptions& global, const std::string& job) {
  if (job.empty()) return {};
  JobClient client(global.server, global.timeout, global.security);
  const Result<v1::Job> found = client.Get(job);
  return found.ok() ? found.value().spec().model().bert() : v1::Bert();
}

// Beside the weights of a BERT, what Hugging Face's transformers need to load them. A config.json
// that says something else is left alone.
Status WriteBertConfig(const GlobalOptions& global, const FoundCheckpointFolder& folder,
                       const ExportOptions& options) {
  FileSystem& fs = FileSystem::Real();
  const Result<Manifest> manifest = ReadManifest(fs, folder.directory);
  if (!manifest.ok()) return manifest.status();
  const std::optional<BertConfig> config = BertConfigOf(manifest.value().tensors);
  if (!config.has_value()) return Status();
  const v1::Bert bert = BertOf(global, folder.job);
  int64_t heads = options.heads > 0 ? options.heads : bert.heads();
  const bool assumed = heads == 0;
  if (assumed) heads = CustomaryHeads(*config);
  if (heads == 0 || config->hidden % heads != 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("config.json: {} heads for a hidden size of {}; give the model's own "
                              "number with --heads",
                              heads, config->hidden));
  }
  const std::string text =
      RenderBertConfig(*config, heads, bert.has_dropout() ? bert.dropout() : kDropoutDefault);
  const std::string path = ParentDirectory(options.out_path) + "/config.json";
  if (fs.Exists(path)) {
    const Result<std::string> present = fs.ReadWhole(path, kConfigBytesMax);
    if (present.ok() && present.value() == text) return Status();
    return Status(Code::kAlreadyExists,
                  path +
                      " is there already and says something else: the weights were written, it "
                      "was left alone; choose an empty folder");
  }
  DROVER_RETURN_IF_ERROR(ReplaceFile(path, text));
  fmt::print("{}\n", path);
  if (assumed) {
    fmt::print(stderr,
               "hint: {} heads of 64 values assumed, a folder does not tell; --heads N sets it\n",
               heads);
  }
  return Status();
}

}  // namespace

int ExportCheckpointCommand(const GlobalOptions& global, const std::string& checkpoint,
                            const ExportOptions& options) {
  const Result<FoundCheckpointFolder> folder = FindCheckpoint(global, checkpoint);
  if (!folder.ok()) {
    return ReportError(folder.status(), "\"drover checkpoint list\" lists all checkpoints");
  }
  const Status exported =
      ExportSafetensors(FileSystem::Real(), folder.value().directory, options.out_path);
  if (!exported.ok()) return ReportError(exported);
  fmt::print("{}\n", options.out_path);
  const Status config = WriteBertConfig(global, folder.value(), options);
  if (!config.ok()) return ReportError(config);
  fmt::print(stderr, "hint: python: safetensors.numpy.load_file(\"{}\")\n", options.out_path);
  return kExitOk;
}

int VerifyCheckpointCommand(const GlobalOptions& global, const std::string& checkpoint) {
  const Result<FoundCheckpointFolder> folder = FindCheckpoint(global, checkpoint);
  if (!folder.ok()) {
    return ReportError(folder.status(), "\"drover checkpoint list\" lists all checkpoints");
  }
  const Result<Manifest> manifest = VerifyCheckpoint(FileSystem::Real(), folder.value().directory);
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
