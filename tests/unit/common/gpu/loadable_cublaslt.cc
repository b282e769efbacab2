// Exports the names that Drover looks up in cuBLASLt, to see that it finds them. Never called but
// for the first.

#include <cstddef>

extern "C" {

std::size_t cublasLtGetVersion() { return DROVER_FAKE_CUBLASLT_VERSION; }
const char* cublasLtGetStatusString(int) { return "an error"; }
int cublasLtCreate() { return 0; }
int cublasLtDestroy() { return 0; }
int cublasLtMatmulDescCreate() { return 0; }
int cublasLtMatmulDescSetAttribute() { return 0; }
int cublasLtMatmulDescDestroy() { return 0; }
int cublasLtMatrixLayoutCreate() { return 0; }
int cublasLtMatrixLayoutDestroy() { return 0; }
int cublasLtMatmulPreferenceCreate() { return 0; }
int cublasLtMatmulPreferenceSetAttribute() { return 0; }
int cublasLtMatmulPreferenceDestroy() { return 0; }
int cublasLtMatmulAlgoGetHeuristic() { return 0; }
int cublasLtMatmul() { return 0; }
}
