// The part of cuBLASLt, NVIDIA's library of matrix products, that Drover uses, as a table of
// functions that are looked up at run time: no program links it, and one that multiplies nothing on
// a GPU runs without. Declared here rather than taken from cublasLt.h, so that building needs no
// cuBLAS either; tests/unit/common/gpu/cublaslt_header_test.cc compares the numbers with the real
// header. Immutable after loading; cuBLASLt's own rules for threads hold.

#ifndef DROVER_COMMON_GPU_CUBLASLT_H_
#define DROVER_COMMON_GPU_CUBLASLT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

// As in cublasLt.h of cuBLAS 12 and 13 and in CUDA's library_types.h. Enumerations are passed as
// int.
using CublasStatus = int;  // cublasStatus_t
inline constexpr CublasStatus kCublasSuccess = 0;
inline constexpr CublasStatus kCublasAllocFailed = 3;
inline constexpr CublasStatus kCublasInvalidValue = 7;
inline constexpr int kCudaF32 = 0;
inline constexpr int kCudaBf16 = 14;
inline constexpr int kCublasCompute32F = 68;          // Float32 factors are not shortened.
inline constexpr int kCublasCompute32FFastTf32 = 77;  // They may be, to 10 bits of mantissa.
inline constexpr int32_t kCublasOpN = 0;
inline constexpr int32_t kCublasOpT = 1;
inline constexpr int kCublasLtDescTransA = 3;       // int32_t
inline constexpr int kCublasLtDescTransB = 4;       // int32_t
inline constexpr int kCublasLtDescEpilogue = 7;     // uint32_t
inline constexpr int kCublasLtDescBiasPointer = 8;  // const void*
inline constexpr uint32_t kCublasLtEpilogueBias = 4;
inline constexpr int kCublasLtPreferenceWorkspaceBytes = 1;  // uint64_t
inline constexpr int kCublasLtPreferenceReductionMask = 3;   // uint32_t
inline constexpr int kCublasLtPreferenceAlignmentA = 5;      // uint32_t, and so B, C, D: 6, 7, 8.
inline constexpr uint32_t kCublasLtReductionNone = 0;
inline constexpr uint32_t kCublasLtReductionComputeType = 2;

using CublasLtHandle = void*;      // cublasLtHandle_t
using CublasLtDesc = void*;        // cublasLtMatmulDesc_t
using CublasLtLayout = void*;      // cublasLtMatrixLayout_t
using CublasLtPreference = void*;  // cublasLtMatmulPreference_t
using CublasLtStream = void*;      // cudaStream_t

struct CublasLtAlgo {  // cublasLtMatmulAlgo_t
  uint64_t data[8];
};
struct CublasLtHeuristicResult {  // cublasLtMatmulHeuristicResult_t
  CublasLtAlgo algo;
  size_t workspace_bytes;
  CublasStatus state;
  float waves;
  int reserved[4];
};

// One field per function, named as in cuBLASLt without its prefix. Layouts are column-major.
struct CublasLtApi {
  std::function<size_t()> GetVersion;
  std::function<const char*(CublasStatus)> GetStatusString;
  std::function<CublasStatus(CublasLtHandle*)> Create;
  std::function<CublasStatus(CublasLtHandle)> Destroy;
  std::function<CublasStatus(CublasLtDesc*, int compute_type, int scale_type)> MatmulDescCreate;
  std::function<CublasStatus(CublasLtDesc, int attribute, const void* value, size_t bytes)>
      MatmulDescSetAttribute;
  std::function<CublasStatus(CublasLtDesc)> MatmulDescDestroy;
  std::function<CublasStatus(CublasLtLayout*, int type, uint64_t rows, uint64_t columns,
                             int64_t leading)>
      MatrixLayoutCreate;
  std::function<CublasStatus(CublasLtLayout)> MatrixLayoutDestroy;
  std::function<CublasStatus(CublasLtPreference*)> MatmulPreferenceCreate;
  std::function<CublasStatus(CublasLtPreference, int attribute, const void* value, size_t bytes)>
      MatmulPreferenceSetAttribute;
  std::function<CublasStatus(CublasLtPreference)> MatmulPreferenceDestroy;
  std::function<CublasStatus(CublasLtHandle, CublasLtDesc, CublasLtLayout a, CublasLtLayout b,
                             CublasLtLayout c, CublasLtLayout d, CublasLtPreference, int wanted,
                             CublasLtHeuristicResult* results, int* found)>
      MatmulAlgoGetHeuristic;
  // d = alpha * a * b + beta * c; alpha and beta are float32 on the host.
  std::function<CublasStatus(
      CublasLtHandle, CublasLtDesc, const void* alpha, const void* a, CublasLtLayout, const void* b,
      CublasLtLayout, const void* beta, const void* c, CublasLtLayout, void* d, CublasLtLayout,
      const CublasLtAlgo*, void* workspace, size_t workspace_bytes, CublasLtStream)>
      Matmul;
};

// Where it usually is: by name, then in the toolkit's folder; newest first.
std::vector<std::string> CublasLtLibraryNames();

// Loads the first of `names` that can be loaded; it stays loaded. kNotFound when there is none,
// with every name, the loader's words for each and how to install it; kFailedPrecondition when it
// lacks a function or is older than 12.
Result<CublasLtApi> LoadCublasLt(const std::vector<std::string>& names = CublasLtLibraryNames());

// "13.1.0" for 130100.
std::string CublasLtVersionName(size_t version);

// OK for kCublasSuccess; else "what: its description" as kInvalidArgument, kResourceExhausted or
// kInternal.
Status CublasLtStatus(const CublasLtApi& cublas, CublasStatus status, const std::string& what);

}  // namespace drover

#endif  // DROVER_COMMON_GPU_CUBLASLT_H_
