#include "common/gpu/cublaslt.h"

#include <fmt/format.h>

#include <utility>

#include "common/gpu/dynamic_library.h"

namespace drover {
namespace {

constexpr size_t kVersionMin = 120000;
constexpr const char* kHowToInstall =
    "install it with  apt-get install libcublas-13-0  from NVIDIA's repository, or  pip install "
    "nvidia-cublas  and put its lib folder into the loader's path (LD_LIBRARY_PATH)";

Result<CublasLtApi> LookUp(DynamicLibrary library) {
  CublasLtApi cublas;
  library.Find("cublasLtGetVersion", &cublas.GetVersion);
  library.Find("cublasLtGetStatusString", &cublas.GetStatusString);
  library.Find("cublasLtCreate", &cublas.Create);
  library.Find("cublasLtDestroy", &cublas.Destroy);
  library.Find("cublasLtMatmulDescCreate", &cublas.MatmulDescCreate);
  library.Find("cublasLtMatmulDescSetAttribute", &cublas.MatmulDescSetAttribute);
  library.Find("cublasLtMatmulDescDestroy", &cublas.MatmulDescDestroy);
  library.Find("cublasLtMatrixLayoutCreate", &cublas.MatrixLayoutCreate);
  library.Find("cublasLtMatrixLayoutDestroy", &cublas.MatrixLayoutDestroy);
  library.Find("cublasLtMatmulPreferenceCreate", &cublas.MatmulPreferenceCreate);
  library.Find("cublasLtMatmulPreferenceSetAttribute", &cublas.MatmulPreferenceSetAttribute);
  library.Find("cublasLtMatmulPreferenceDestroy", &cublas.MatmulPreferenceDestroy);
  library.Find("cublasLtMatmulAlgoGetHeuristic", &cublas.MatmulAlgoGetHeuristic);
  library.Find("cublasLtMatmul", &cublas.Matmul);
  if (!library.missing().empty()) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("{} is no cuBLASLt that Drover can use: it lacks {}", library.name(),
                              library.missing()));
  }
  if (cublas.GetVersion() < kVersionMin) {
    return Status(
        Code::kFailedPrecondition,
        fmt::format("{} is version {}: expected {} or later", library.name(),
                    CublasLtVersionName(cublas.GetVersion()), CublasLtVersionName(kVersionMin)));
  }
  return cublas;
}

}  // namespace

std::vector<std::string> CublasLtLibraryNames() {
  return {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13", "libcublasLt.so.12",
          "/usr/local/cuda/lib64/libcublasLt.so.12"};
}

Result<CublasLtApi> LoadCublasLt(const std::vector<std::string>& names) {
  Result<DynamicLibrary> library =
      DynamicLibrary::Load(names, "cuBLASLt, which multiplies matrices on GPUs,", kHowToInstall);
  if (!library.ok()) return library.status();
  return LookUp(std::move(library).value());
}

std::string CublasLtVersionName(size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

Status CublasLtStatus(const CublasLtApi& cublas, CublasStatus status, const std::string& what) {
  if (status == kCublasSuccess) return Status();
  const Code code = status == kCublasInvalidValue  ? Code::kInvalidArgument
                    : status == kCublasAllocFailed ? Code::kResourceExhausted
                                                   : Code::kInternal;
  return Status(code, fmt::format("{}: {}", what, cublas.GetStatusString(status)));
}

}  // namespace drover
