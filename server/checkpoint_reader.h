// One checkpoint's shard files as one parameter space. Opens files when they are first needed and
// keeps them open. Internal to checkpoint_file.cc and safetensors.cc. One thread.

#ifndef DROVER_SERVER_CHECKPOINT_READER_H_
#define DROVER_SERVER_CHECKPOINT_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "server/checkpoint_manifest.h"
#include "server/shard_file.h"

namespace drover {

class CheckpointReader {
 public:
  // All four references outlive the reader. kInvalidArgument when the files do not tile the layout.
  static Result<CheckpointReader> Open(FileSystem& fs, const std::string& directory,
                                       const Manifest& manifest, const Layout& layout);

  // As ReadCheckpointRange; `arrays` has one entry per array of the files.
  Status Read(BlockRange wanted, const std::vector<float*>& arrays);

  // Every byte of file `index`, and that it is the one which the manifest means.
  Status VerifyFile(size_t index);

  // Hands out all elements of a tensor in order, in pieces: (float32 elements, count).
  Status ForEachPiece(size_t tensor, const std::function<Status(const float*, uint64_t)>& consume);

  Result<std::string> WeightsDigest();

 private:
  CheckpointReader(FileSystem& fs, const std::string& directory, const Manifest& manifest,
                   const Layout& layout);
  Result<ShardFileReader*> FileAt(size_t index);

  FileSystem* fs_;
  const std::string* directory_;
  const Manifest* manifest_;
  const Layout* layout_;
  std::vector<std::unique_ptr<ShardFileReader>> files_;  // Null until needed.
};

}  // namespace drover

#endif  // DROVER_SERVER_CHECKPOINT_READER_H_
