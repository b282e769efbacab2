// What common/gpu/cublaslt.h declares is what cuBLASLt's own header says. Built where that header
// is; needs neither a GPU nor the library.

#include <cublasLt.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "common/gpu/cublaslt.h"

namespace drover {
namespace {

static_assert(int{CUBLAS_STATUS_SUCCESS} == kCublasSuccess);
static_assert(int{CUBLAS_STATUS_ALLOC_FAILED} == kCublasAllocFailed);
static_assert(int{CUBLAS_STATUS_INVALID_VALUE} == kCublasInvalidValue);
static_assert(int{CUDA_R_32F} == kCudaF32);
static_assert(int{CUDA_R_16BF} == kCudaBf16);
static_assert(int{CUBLAS_COMPUTE_32F} == kCublasCompute32F);
static_assert(int{CUBLAS_COMPUTE_32F_FAST_TF32} == kCublasCompute32FFastTf32);
static_assert(int{CUBLAS_OP_N} == kCublasOpN);
static_assert(int{CUBLAS_OP_T} == kCublasOpT);
static_assert(int{CUBLASLT_MATMUL_DESC_TRANSA} == kCublasLtDescTransA);
static_assert(int{CUBLASLT_MATMUL_DESC_TRANSB} == kCublasLtDescTransB);
static_assert(int{CUBLASLT_MATMUL_DESC_EPILOGUE} == kCublasLtDescEpilogue);
static_assert(int{CUBLASLT_MATMUL_DESC_BIAS_POINTER} == kCublasLtDescBiasPointer);
static_assert(unsigned{CUBLASLT_EPILOGUE_BIAS} == kCublasLtEpilogueBias);
static_assert(int{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES} == kCublasLtPreferenceWorkspaceBytes);
static_assert(int{CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK} == kCublasLtPreferenceReductionMask);
static_assert(int{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES} == kCublasLtPreferenceAlignmentA);
static_assert(int{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES} == kCublasLtPreferenceAlignmentA + 1);
static_assert(int{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES} == kCublasLtPreferenceAlignmentA + 2);
static_assert(int{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES} == kCublasLtPreferenceAlignmentA + 3);
static_assert(unsigned{CUBLASLT_REDUCTION_SCHEME_NONE} == kCublasLtReductionNone);
static_assert(unsigned{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE} == kCublasLtReductionComputeType);
static_assert(sizeof(cublasStatus_t) == sizeof(CublasStatus));
static_assert(sizeof(cublasLtHandle_t) == sizeof(CublasLtHandle));
static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(CublasLtAlgo));

using Theirs = cublasLtMatmulHeuristicResult_t;
using Ours = CublasLtHeuristicResult;
static_assert(sizeof(Theirs) == sizeof(Ours));
static_assert(offsetof(Theirs, workspaceSize) == offsetof(Ours, workspace_bytes));
static_assert(offsetof(Theirs, state) == offsetof(Ours, state));
static_assert(offsetof(Theirs, wavesCount) == offsetof(Ours, waves));

TEST(CublasLtHeaderTest, AVersionReadsAsItsParts) {
  EXPECT_EQ(CublasLtVersionName(CUBLAS_VERSION), std::to_string(CUBLAS_VER_MAJOR) + "." +
                                                     std::to_string(CUBLAS_VER_MINOR) + "." +
                                                     std::to_string(CUBLAS_VER_PATCH));
}

}  // namespace
}  // namespace drover
