#include "worker/nn/numeric_class.h"

#include <fmt/format.h>

#include <dnnl.hpp>

namespace drover {
namespace {

// What oneDNN's sgemm tells apart (gemm_info.cpp): later AVX-512 extensions change nothing in f32.
const char* SgemmIsaName(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::avx512_core:
    case dnnl::cpu_isa::avx512_core_vnni:
    case dnnl::cpu_isa::avx512_core_bf16:
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core";
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2";
    case dnnl::cpu_isa::avx512_mic:
    case dnnl::cpu_isa::avx512_mic_4ops:
      return "avx512_mic";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::all:
      break;
  }
  return "unknown";
}

}  // namespace

std::string NumericClassOfCpu() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("cpu onednn-{}.{}.{} {} f32", version->major, version->minor, version->patch,
                     SgemmIsaName(dnnl::get_effective_cpu_isa()));
}

}  // namespace drover
