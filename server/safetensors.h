// Weights of a checkpoint for other programs, in the safetensors format
// (https://github.com/huggingface/safetensors#format). Writing only. Thread-safe.

#ifndef DROVER_SERVER_SAFETENSORS_H_
#define DROVER_SERVER_SAFETENSORS_H_

#include <string>

#include "common/base/file_system.h"
#include "common/base/status.h"

namespace drover {

// Verifies the checkpoint in `directory`, then writes its weights as F32 to `out_path`, which
// appears whole or not at all (an error of the last sync leaves it whole). Metadata: format, job,
// version, applied, weights_digest.
Status ExportSafetensors(FileSystem& fs, const std::string& directory, const std::string& out_path);

}  // namespace drover

#endif  // DROVER_SERVER_SAFETENSORS_H_
