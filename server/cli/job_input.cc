#include "server/cli/job_input.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

#include "common/base/digest.h"
#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/text/token_file.h"
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
  const v1::DatasetSpec& dataset = file.spec.dataset();
  if (!dataset.has_idx() && !dataset.has_text()) return Status();
  const std::string field = dataset.has_idx() ? "dataset.idx.path" : "dataset.text.path";
  const std::string& path = dataset.has_idx() ? dataset.idx().path() : dataset.text().path();
  const Result<std::vector<std::string>> names = FileSystem::Real().List(path);
  std::string problem;
  if (!names.ok()) {
    problem = names.status().message();
  } else if (dataset.has_text()) {
    for (const char* name : {kTestTokensName, kTrainTokensName}) {
      if (!std::ranges::binary_search(names.value(), name)) {
        problem =
            fmt::format("{} holds no {}; make it with drover data tokenize", Quote(path), name);
      }
    }
  }
  if (problem.empty()) return Status();
  return Status(Code::kInvalidArgument, LocateProblem(file, field + ": " + problem));
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
