#include "server/cli/job_input.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "common/base/digest.h"
#include "common/base/file_system.h"
#include "server/spec.h"

namespace drover {

Result<JobFile> ReadCheckedJobFile(const std::string& path,
                                   std::span<const std::string> overrides) {
  Result<JobFile> file = ReadJobFile(path, overrides);
  if (!file.ok()) return file;
  const Status checked = CheckJobSpec(file.value().spec, nullptr);
  if (checked.ok()) return file;
  return Status(checked.code(), LocateProblems(file.value(), checked.message()));
}

Status CheckLocalDataset(const JobFile& file) {
  if (!file.spec.dataset().has_idx()) return Status();
  const std::string& path = file.spec.dataset().idx().path();
  const Result<std::vector<std::string>> names = FileSystem::Real().List(path);
  if (names.ok()) return Status();
  return Status(Code::kInvalidArgument,
                LocateProblem(file, "dataset.idx.path: " + names.status().message()));
}

std::string SpecDigest(const v1::JobSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // Maps in the order of their keys.
    spec.SerializeToCodedStream(&coded);
  }
  Sha256 digest;
  digest.Update(bytes.data(), bytes.size());
  return digest.HexDigest();
}

}  // namespace drover
