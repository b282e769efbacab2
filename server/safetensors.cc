#include "server/safetensors.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "server/bytes.h"
#include "server/checkpoint_file.h"
#include "server/checkpoint_reader.h"
#include "server/parent_directory.h"

namespace drover {
namespace {

constexpr char kMetadata[] = "__metadata__";

// A JSON object padded with blanks to a multiple of 8 bytes. Names need no escapes: a layout allows
// letters, digits and _ . / - only, digests and rules less.
std::string Header(const Manifest& manifest, const Layout& layout) {
  std::string json = fmt::format(
      R"({{"{}":{{"format":"pt","job":"{:016x}","version":"{}","applied":"{}",)"
      R"("weights_digest":"{}"}})",
      kMetadata, manifest.job, manifest.version, manifest.applied, manifest.weights_digest);
  uint64_t offset = 0;
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const uint64_t end = offset + layout.tensor_size(t) * sizeof(float);
    json += fmt::format(R"(,"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                        tensor.name, fmt::join(tensor.shape, ","), offset, end);
    offset = end;
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return json;
}

Status WriteTo(WritableFile& file, const std::string& header, CheckpointReader& reader,
               size_t tensors) {
  std::string length;
  AppendInteger(static_cast<uint64_t>(header.size()), &length);
  DROVER_RETURN_IF_ERROR(file.Append(length.data(), length.size()));
  DROVER_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (size_t t = 0; t < tensors; ++t) {
    DROVER_RETURN_IF_ERROR(reader.ForEachPiece(t, [&file](const float* elements, uint64_t count) {
      return file.Append(elements, count * sizeof(float));
    }));
  }
  DROVER_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

Status Export(FileSystem& fs, const std::string& directory, const std::string& temporary) {
  const Result<Manifest> manifest = VerifyCheckpoint(fs, directory);
  if (!manifest.ok()) return manifest.status();
  const Result<Layout> layout = Layout::Make(manifest.value().tensors);
  DROVER_CHECK(layout.ok());  // The manifest has been checked.
  Result<CheckpointReader> reader =
      CheckpointReader::Open(fs, directory, manifest.value(), layout.value());
  if (!reader.ok()) return reader.status();
  for (const TensorSpec& tensor : layout.value().tensors()) {
    if (tensor.name != kMetadata) continue;
    return Status(
        Code::kInvalidArgument,
        fmt::format("a tensor is named {}, which the format keeps for itself", kMetadata));
  }
  const std::string header = Header(manifest.value(), layout.value());
  const uint64_t bytes =
      sizeof(uint64_t) + header.size() + layout.value().parameter_count() * sizeof(float);
  Result<std::unique_ptr<WritableFile>> file = fs.Create(temporary, bytes);
  if (!file.ok()) return file.status();
  return WriteTo(*file.value(), header, reader.value(), layout.value().tensors().size());
}

}  // namespace

Status ExportSafetensors(FileSystem& fs, const std::string& directory,
                         const std::string& out_path) {
  const std::string temporary = out_path + ".tmp";
  Status status = Export(fs, directory, temporary);
  if (status.ok()) status = fs.Rename(temporary, out_path);
  if (status.ok()) return fs.SyncDirectory(ParentDirectory(out_path));
  // The export error is the one to tell; what cannot be removed either has a name that says so.
  (void)fs.RemoveAll(temporary).ok();
  return status.Annotate("export to " + Quote(out_path));
}

}  // namespace drover
