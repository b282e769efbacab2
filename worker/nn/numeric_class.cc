#include "worker/nn/numeric_class.h"

#include <fmt/format.h>
#include <unistd.h>

#include <dnnl.hpp>

namespace drover {
namespace {

const char* IsaName(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_mic:
      return "avx512_mic";
    case dnnl::cpu_isa::avx512_mic_4ops:
      return "avx512_mic_4ops";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::all:
      break;
  }
  return "unknown";
}

// 0 where the system does not know.
int64_t Kibibytes(int cache) {
  const int64_t bytes = sysconf(cache);
  return bytes > 0 ? bytes / 1024 : 0;
}

}  // namespace

std::string NumericClassOfCpu() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("cpu onednn-{}.{}.{} {} caches {}/{}/{} KiB", version->major, version->minor,
                     version->patch, IsaName(dnnl::get_effective_cpu_isa()),
                     Kibibytes(_SC_LEVEL1_DCACHE_SIZE), Kibibytes(_SC_LEVEL2_CACHE_SIZE),
                     Kibibytes(_SC_LEVEL3_CACHE_SIZE));
}

}  // namespace drover
