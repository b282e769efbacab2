// cuBLASLt for tests on the emulator: it computes what it is asked, column by column on the host,
// and remembers what that was. The arrays must be there: nothing is enqueued.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_FAKE_CUBLASLT_H_
#define DROVER_TESTS_UNIT_WORKER_NN_FAKE_CUBLASLT_H_

#include <cstdint>
#include <map>
#include <string>

#include "common/gpu/cublaslt.h"

namespace drover {

class FakeCublasLt {
 public:
  struct Desc {
    int compute_type = -1;
    int scale_type = -1;
    int32_t transposes[2] = {kCublasOpN, kCublasOpN};
    uint32_t epilogue = 1;
    const void* bias = nullptr;
  };
  struct Layout {
    int type = -1;
    int64_t rows = 0;
    int64_t columns = 0;
    int64_t leading = 0;
  };
  struct Preference {
    uint64_t workspace_bytes = 0;
    uint32_t reductions = 7;
    uint32_t alignments[4] = {256, 256, 256, 256};
  };
  struct Product {
    Desc desc;
    Layout a, b, c;
    const void* a_values = nullptr;
    const void* b_values = nullptr;
    const void* c_values = nullptr;
    void* d_values = nullptr;
    float alpha = 0, beta = 0;
    uint64_t algo = 0;  // The number of the heuristic's answer.
    const void* workspace = nullptr;
    size_t workspace_bytes = 0;
    void* stream = nullptr;
  };

  // Borrows this object.
  CublasLtApi Api();

  int64_t alive = 0;       // Objects that were made and not destroyed.
  int64_t heuristics = 0;  // Questions for an algorithm.
  Preference preference;   // Of the last one.
  Product product;         // The last.
  std::string failing;     // The field of CublasLtApi that answers 15, "not supported".
  int algorithms = 1;      // The heuristic finds.

 private:
  CublasStatus Answer(const std::string& function) const { return failing == function ? 15 : 0; }
  template <typename T>
  CublasStatus Create(const std::string& function, void** made, T value);
  template <typename T>
  CublasStatus Destroy(void* made);
  void Compute() const;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_FAKE_CUBLASLT_H_
