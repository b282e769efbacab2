#include "common/gpu/nccl.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace drover {
namespace {

constexpr int kNcclVersionMin = 2700;  // 2.7.0: what CUDA 11 came with.
constexpr const char* kHowToInstall =
    "install it with  apt-get install libnccl2  from NVIDIA's repository, or  pip install "
    "nvidia-nccl-cu13  and put its lib folder into the loader's path (LD_LIBRARY_PATH)";

// Looks functions up by name and remembers those that are not there.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}

  template <typename Result, typename... Args>
  void Find(const char* name, std::function<Result(Args...)>* function) {
    void* const symbol = dlsym(library_, name);
    if (symbol == nullptr) {
      missing_ += (missing_.empty() ? "" : ", ") + std::string(name);
      return;
    }
    *function = reinterpret_cast<Result (*)(Args...)>(symbol);
  }

  const std::string& missing() const { return missing_; }

 private:
  void* const library_;
  std::string missing_;
};

Result<NcclApi> LookUp(void* library, const std::string& name) {
  NcclApi nccl;
  Symbols symbols(library);
  symbols.Find("ncclGetVersion", &nccl.GetVersion);
  symbols.Find("ncclGetErrorString", &nccl.GetErrorString);
  symbols.Find("ncclCommInitAll", &nccl.CommInitAll);
  symbols.Find("ncclCommDestroy", &nccl.CommDestroy);
  symbols.Find("ncclCommAbort", &nccl.CommAbort);
  symbols.Find("ncclCommGetAsyncError", &nccl.CommGetAsyncError);
  symbols.Find("ncclGroupStart", &nccl.GroupStart);
  symbols.Find("ncclGroupEnd", &nccl.GroupEnd);
  symbols.Find("ncclReduceScatter", &nccl.ReduceScatter);
  symbols.Find("ncclBroadcast", &nccl.Broadcast);
  if (!symbols.missing().empty()) {
    return Status(
        Code::kFailedPrecondition,
        fmt::format("{} is no NCCL 2 that Drover can use: it lacks {}", name, symbols.missing()));
  }
  Symbols(library).Find("ncclGetLastError", &nccl.GetLastError);  // Since 2.13.
  int version = 0;
  DROVER_RETURN_IF_ERROR(NcclStatus(nccl, nccl.GetVersion(&version), "version of " + name));
  if (version < kNcclVersionMin) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("{} is version {}: expected {} or later", name,
                              NcclVersionName(version), NcclVersionName(kNcclVersionMin)));
  }
  return nccl;
}

}  // namespace

std::vector<std::string> NcclLibraryNames() {
  return {"libnccl.so.2", "/usr/local/cuda/lib64/libnccl.so.2"};
}

Result<NcclApi> LoadNccl(const std::vector<std::string>& names) {
  std::string tried;
  for (const std::string& name : names) {
    // Its own names stay its own: programs may bring another NCCL with them. Never closed: its
    // threads outlive the last communicator.
    void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return LookUp(library, name);
    const char* const why = dlerror();
    tried += fmt::format("\n  {}: {}", name, why == nullptr ? "unknown" : why);
  }
  return Status(
      Code::kNotFound,
      fmt::format("NCCL, which adds up the GPUs of this host, cannot be loaded: {}. Tried:{}",
                  kHowToInstall, tried));
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
