#include "common/gpu/nccl.h"

#include <fmt/format.h>

#include <utility>

#include "common/gpu/dynamic_library.h"

namespace drover {
namespace {

constexpr int kNcclVersionMin = 2700;  // 2.7.0: what CUDA 11 came with.
constexpr const char* kHowToInstall =
    "install it with  apt-get install libnccl2  from NVIDIA's repository, or  pip install "
    "nvidia-nccl-cu13  and put its lib folder into the loader's path (LD_LIBRARY_PATH)";

Result<NcclApi> LookUp(DynamicLibrary library) {
  NcclApi nccl;
  library.Find("ncclGetVersion", &nccl.GetVersion);
  library.Find("ncclGetErrorString", &nccl.GetErrorString);
  library.Find("ncclCommInitAll", &nccl.CommInitAll);
  library.Find("ncclCommDestroy", &nccl.CommDestroy);
  library.Find("ncclCommAbort", &nccl.CommAbort);
  library.Find("ncclCommGetAsyncError", &nccl.CommGetAsyncError);
  library.Find("ncclGroupStart", &nccl.GroupStart);
  library.Find("ncclGroupEnd", &nccl.GroupEnd);
  library.Find("ncclReduceScatter", &nccl.ReduceScatter);
  library.Find("ncclBroadcast", &nccl.Broadcast);
  if (!library.missing().empty()) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("{} is no NCCL 2 that Drover can use: it lacks {}", library.name(),
                              library.missing()));
  }
  library.FindIfThere("ncclGetLastError", &nccl.GetLastError);  // Since 2.13.
  int version = 0;
  DROVER_RETURN_IF_ERROR(
      NcclStatus(nccl, nccl.GetVersion(&version), "version of " + library.name()));
  if (version < kNcclVersionMin) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("{} is version {}: expected {} or later", library.name(),
                              NcclVersionName(version), NcclVersionName(kNcclVersionMin)));
  }
  return nccl;
}

}  // namespace

std::vector<std::string> NcclLibraryNames() {
  return {"libnccl.so.2", "/usr/local/cuda/lib64/libnccl.so.2"};
}

Result<NcclApi> LoadNccl(const std::vector<std::string>& names) {
  Result<DynamicLibrary> library =
      DynamicLibrary::Load(names, "NCCL, which adds up the GPUs of this host,", kHowToInstall);
  if (!library.ok()) return library.status();
  return LookUp(std::move(library).value());
}

std::string NcclVersionName(int version) {
  // Up to 2.8 three digits and a half, see NCCL_VERSION in nccl.h.
  const int scale = version < 10000 ? 1000 : 10000;
  return fmt::format("{}.{}.{}", version / scale, version % scale / 100, version % 100);
}

Status NcclStatus(const NcclApi& nccl, NcclResult result, const std::string& what, NcclComm comm) {
  if (result == kNcclSuccess) return Status();
  std::string message = fmt::format("{}: {}", what, nccl.GetErrorString(result));
  if (nccl.GetLastError) {
    const char* const last = nccl.GetLastError(comm);
    if (last != nullptr && *last != '\0') message += fmt::format(" ({})", last);
  }
  return Status(result == kNcclInvalidArgument ? Code::kInvalidArgument : Code::kInternal, message);
}

}  // namespace drover
